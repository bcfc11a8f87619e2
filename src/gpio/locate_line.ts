/**
 * From the ways to name a line to the line.
 *
 * @module
 */
import { realPath } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import {
  requireBoolean,
  requireKeys,
  requireNumber,
  requireString,
} from "../text/arguments.ts";
import { nameText } from "../text/names.ts";
import { Chip } from "./chip.ts";
import { listedPath } from "./chip_nodes.ts";
import { whyNotChip } from "./device_file.ts";
import { AbsentError, AmbiguousError, LineError } from "./errors.ts";
import {
  checkProperties,
  findChipByProperties,
  propertiesText,
} from "./identity.ts";
import type { ChipProperties } from "./chip_properties.ts";
import { findChip, linesNamed, openChip } from "./lookup.ts";

/** A line as it is asked for: a chip's by number, or one by its own name. */
export interface WantedLine {
  /** Name, number, path or label of the chip. */
  readonly chip?: string | undefined;
  /** Properties that identify the chip; if given, `chip` is not looked at. */
  readonly identity?: ChipProperties | undefined;
  /** The line's number on its chip; or else `lineName`. */
  readonly offset?: number | undefined;
  /** The line's own name. */
  readonly lineName?: string | undefined;
  /**
   * True if paths of chips must lead to chips below `/dev`, links followed.
   * Everything else at a path counts as absent, whatever it is. For lines that
   * were requested by another user.
   */
  readonly devicesOnly?: boolean | undefined;
}

/** A line, found. */
export interface LocatedLine {
  /** The path of the chip's device file, the same for all ways to name it. */
  readonly chipPath: string;
  /** The line's number on that chip. */
  readonly offset: number;
}

/**
 * Finds a line.
 *
 * @throws {AbsentError} If there is no such chip, or no line of that name.
 * @throws {AmbiguousError} If several could be meant; the message lists them.
 * @throws {LineError} If the chip has no such offset, or may not be opened.
 * @throws {TypeError} For an unknown key, or a value of another type.
 *
 * @example The third line of a USB chip, wherever it is plugged in
 * ```ts
 * import { AbsentError, locateLine } from "@gpioagg/gpioagg";
 *
 * try {
 *   const line = locateLine({ identity: { usbSerial: "FT123" }, offset: 2 });
 *   console.log(`line ${line.offset} of ${line.chipPath}`);
 * } catch (error) {
 *   if (!(error instanceof AbsentError)) throw error;
 *   console.log("it is not plugged in");
 * }
 * ```
 */
export function locateLine(wanted: WantedLine): LocatedLine {
  requireKeys("the line", wanted, WANTED_KEYS, MEANT_KEYS);
  const { chip, identity, offset, lineName, devicesOnly } = wanted;
  if (chip !== undefined) requireString("chip", chip);
  if (lineName !== undefined) requireString("lineName", lineName);
  else requireNumber("offset", offset);
  if (identity !== undefined) checkProperties("identity", identity);
  else if (lineName === undefined) requireString("chip", chip);
  if (devicesOnly !== undefined) requireBoolean("devicesOnly", devicesOnly);
  return locateWanted(wanted);
}

const WANTED_KEYS = [
  "chip",
  "identity",
  "offset",
  "lineName",
  "devicesOnly",
];
const MEANT_KEYS = { name: "lineName", line: "lineName", label: "identity" };

/**
 * The same, of what is checked already.
 *
 * Where there is no such chip, `ETH/0` and `MXM3_3/GPIO2` are names of lines.
 */
export function locateWanted(wanted: WantedLine): LocatedLine {
  const { chip, identity, lineName, offset, devicesOnly } = wanted;
  try {
    return locate(devicesOnly === true ? onDevice(wanted) : wanted);
  } catch (error) {
    const isOther = chip === undefined || identity !== undefined ||
      !(error instanceof AbsentError);
    if (isOther) throw error;
    const located = locateWhole(`${chip}/${lineName ?? offset}`, devicesOnly);
    if (located !== undefined) return located;
    throw error;
  }
}

/** The line that a whole word names: one of a chip before a slash, or any. */
function locateWhole(
  word: string,
  devicesOnly: boolean | undefined,
): LocatedLine | undefined {
  // The last slash was tried.
  let slash = word.lastIndexOf("/");
  while ((slash = word.lastIndexOf("/", slash - 1)) > 0) {
    const chip = word.slice(0, slash);
    // Another user's word must show nothing of other files: see onDevice.
    const path = devicesOnly === true ? deviceNamed(chip) : findChip(chip);
    if (path === undefined) continue;
    return locate({ chip: path, lineName: word.slice(slash + 1) });
  }
  return linesNamed(word).length === 0 ? undefined : locateName({}, word);
}

/** A path below `/dev` that does not lead out of it by its text. */
const DEVICE_PATH = /^\/dev(\/(?!\.{1,2}(\/|$))[^/]+)+$/;

/**
 * A line with its chip by the path of its device file, below `/dev`.
 *
 * @throws {AbsentError} If it is not there, whatever else is.
 */
function onDevice(wanted: WantedLine): WantedLine {
  const { chip, identity, ...line } = wanted;
  if (identity !== undefined) {
    const { path, device = "" } = identity;
    const isFine = (path === undefined || deviceAt(path) !== undefined) &&
      !device.split("/").includes("..");
    if (isFine) return wanted;
    throw absentIdentity(identity);
  }
  if (chip === undefined) return wanted;
  const path = deviceNamed(chip);
  if (path !== undefined) return { ...line, chip: path };
  throw new AbsentError({
    chip: `chip "${chip}"`,
    operation: "find",
    reason: "there is no such GPIO chip; one is named by its number, name or " +
      "label, by a path below /dev, or by what gpioagg info --ids shows",
    absent: { chip },
  });
}

function deviceNamed(chip: string): string | undefined {
  return chip.includes("/") ? deviceAt(chip) : namedDevice(chip);
}

function deviceAt(path: string): string | undefined {
  if (!DEVICE_PATH.test(path)) return undefined;
  try {
    const real = realPath(path);
    return real?.startsWith("/dev/") && whyNotChip(real) === undefined
      ? real
      : undefined;
  } catch (error) {
    if (!isOsError(error)) throw error;
    return undefined;
  }
}

/** @throws {AmbiguousError} If it is the label of several chips. */
function namedDevice(name: string): string | undefined {
  const path = findChip(name);
  return path === undefined ? undefined : deviceAt(path);
}

function locate(wanted: WantedLine): LocatedLine {
  const { lineName, offset } = wanted;
  if (lineName !== undefined) return locateName(wanted, lineName);
  using chip = openWantedChip(wanted);
  if (offset === undefined || offset >= chip.lineCount) {
    // A line may be called "12".
    const named = linesNamed(`${offset}`, chip.path);
    if (named.length === 1) {
      return { chipPath: named[0]!.chipPath, offset: named[0]!.offset };
    }
    throw new LineError({
      chip: chip.name,
      offsets: [offset ?? NaN],
      operation: "find",
      reason: `it has no line ${offset}, its lines are 0 to ${
        chip.lineCount - 1
      }`,
    });
  }
  return { chipPath: listedPath(chip.path), offset };
}

function openWantedChip({ chip, identity }: WantedLine): Chip {
  if (identity !== undefined) return Chip.open(locateChip(identity));
  const path = findChip(chip!);
  if (path !== undefined) return Chip.open(path);
  try {
    return openChip(chip!);
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    throw new AbsentError({
      chip: `chip "${chip}"`,
      operation: "find",
      reason: error.reason,
      cause: error,
      absent: { chip: chip! },
    });
  }
}

function locateChip(identity: ChipProperties): string {
  const path = findChipByProperties(identity);
  if (path !== undefined) return path;
  throw absentIdentity(identity);
}

function absentIdentity(identity: ChipProperties): AbsentError {
  return new AbsentError({
    chip: `the chip with ${propertiesText(identity)}`,
    operation: "find",
    reason: "there is none; gpioagg info --ids shows what the chips are " +
      "known by",
  });
}

/** Returns advice on a name that is a chip and an offset in another form. */
function offsetHint(name: string): string {
  const [, chip, offset] = /^(gpiochip\d+)[: .](\d+)$/.exec(name) ?? [];
  return chip === undefined
    ? ""
    : `; a line by its offset is ${chip}/${offset}`;
}

function locateName(
  { chip, identity }: WantedLine,
  lineName: string,
): LocatedLine {
  const on = identity === undefined ? chip : locateChip(identity);
  if (on !== undefined && identity === undefined) {
    openWantedChip({ chip: on })[Symbol.dispose]();
  }
  const found = linesNamed(lineName, on);
  const [line, ...others] = found;
  if (line === undefined) {
    throw new AbsentError({
      chip: `line "${nameText(lineName)}"`,
      operation: "find",
      reason: on === undefined
        ? `no chip has a line of that name${offsetHint(lineName)}`
        : `chip ${on} has no line of that name`,
      absent: { lineName, chip: on },
    });
  }
  if (others.length > 0) {
    throw new AmbiguousError({
      chip: `line "${nameText(lineName)}"`,
      operation: "find",
      reason: `several lines have the name, ${
        found.map(({ chipName, offset }) => `${chipName}/${offset}`)
          .join(" and ")
      }; say on which chip`,
    });
  }
  return { chipPath: line.chipPath, offset: line.offset };
}
