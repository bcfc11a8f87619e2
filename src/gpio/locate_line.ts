/**
 * From the ways to name a line to the line.
 *
 * @module
 */
import { Chip } from "./chip.ts";
import { AbsentError, AmbiguousError, LineError } from "./errors.ts";
import {
  type ChipProperties,
  findChipByProperties,
  propertiesText,
} from "./identity.ts";
import { findChip, findLines, openChip } from "./lookup.ts";

/** A line as it is asked for: a chip's by number, or one by its own name. */
export interface WantedLine {
  /** Name, number, path or label of the chip. */
  readonly chip?: string | undefined;
  /** What the chip is known by; if given, `chip` is not looked at. */
  readonly identity?: ChipProperties | undefined;
  /** The line's number on its chip; or else `lineName`. */
  readonly offset?: number | undefined;
  /** The line's own name. */
  readonly lineName?: string | undefined;
}

/** A line, found. */
export interface LocatedLine {
  /** The chip's device path. */
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
  const { lineName, offset } = wanted;
  if (lineName !== undefined) return locateName(wanted, lineName);
  using chip = openWantedChip(wanted);
  if (offset === undefined || offset >= chip.lineCount) {
    throw new LineError({
      chip: chip.name,
      offsets: [offset ?? NaN],
      operation: "find",
      reason: `it has no line ${offset}, its lines are 0 to ${
        chip.lineCount - 1
      }`,
    });
  }
  return { chipPath: chip.path, offset };
}

function openWantedChip({ chip, identity }: WantedLine): Chip {
  if (identity !== undefined) return Chip.open(pathOf(identity));
  const path = findChip(chip!);
  if (path !== undefined) return Chip.open(path);
  try {
    return openChip(chip!);
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    throw new AbsentError({
      chip: `chip "${chip}"`,
      operation: "find",
      reason: error.message.slice(error.message.indexOf(": ") + 2),
      cause: error,
    });
  }
}

function pathOf(identity: ChipProperties): string {
  const path = findChipByProperties(identity);
  if (path !== undefined) return path;
  throw new AbsentError({
    chip: `the chip with ${propertiesText(identity)}`,
    operation: "find",
    reason: "there is none; gpioagg info --ids shows what the chips are " +
      "known by",
  });
}

function locateName(
  { chip, identity }: WantedLine,
  lineName: string,
): LocatedLine {
  const on = identity === undefined ? chip : pathOf(identity);
  if (on !== undefined && identity === undefined) {
    openWantedChip({ chip: on })[Symbol.dispose]();
  }
  const found = findLines(lineName, { chip: on });
  const [line, ...others] = found;
  if (line === undefined) {
    throw new AbsentError({
      chip: `line "${lineName}"`,
      operation: "find",
      reason: on === undefined
        ? "no chip has a line of that name"
        : `chip ${on} has no line of that name`,
    });
  }
  if (others.length > 0) {
    throw new AmbiguousError({
      chip: `line "${lineName}"`,
      operation: "find",
      reason: `several lines have the name, ${
        found.map(({ chipName, offset }) => `${chipName}/${offset}`)
          .join(" and ")
      }; say on which chip`,
    });
  }
  return { chipPath: line.chipPath, offset: line.offset };
}
