/**
 * Finding chips and lines.
 *
 * @module
 */
import { fileStatus, listDirectory } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { Chip, chipPath } from "./chip.ts";
import { whyNotChip } from "./device_file.ts";
import { AmbiguousError, LineError } from "./errors.ts";
import type { LineInfo } from "./line_info.ts";

const CHIP_NAME = /^gpiochip(\d+)$/;

/**
 * The paths of this machine's GPIO chips, in natural order (2 before 10). Links
 * to chips are left out, so that each comes once.
 *
 * @throws {OsError} If `/dev` cannot be read.
 *
 * **Blocking**: looks into `/dev`; opens no chip.
 *
 * @example List the chips of this machine
 * ```ts
 * import { listChips } from "@gpioagg/gpioagg";
 *
 * console.log(listChips().join("\n") || "this machine has no GPIO chips");
 * ```
 */
export function listChips(): string[] {
  return listDirectory("/dev")
    .flatMap((name) => {
      const number = CHIP_NAME.exec(name)?.[1];
      return number === undefined ? [] : [{ name, number: Number(number) }];
    })
    .sort((a, b) => a.number - b.number)
    .map(({ name }) => `/dev/${name}`)
    .filter((path) =>
      fileStatus(path, { followLinks: false })?.kind === "character device" &&
      whyNotChip(path) === undefined
    );
}

/** The chips that could be opened, and why some could not. */
interface Scan {
  readonly chips: Chip[];
  /** The first chip that may not be opened. */
  denied: LineError | undefined;
}

/** Opens all chips that can be opened; a chip that vanishes meanwhile is none. */
function openAll(stack: DisposableStack): Scan {
  const scan: Scan = { chips: [], denied: undefined };
  for (const path of listChips()) {
    try {
      scan.chips.push(stack.use(Chip.open(path)));
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      if (isOsError(error.cause, "EACCES", "EPERM")) scan.denied ??= error;
      else if (!vanished(error)) throw error;
    }
  }
  return scan;
}

function vanished(error: LineError): boolean {
  return error.cause === undefined || // no such file any more
    isOsError(error.cause, "ENODEV", "ENXIO", "ENOENT");
}

/**
 * Finds a chip by number (`0`, `"0"`), name (`"gpiochip0"`), path (of its device
 * file or a link to it) or label, tried in this order.
 *
 * @returns The path, or undefined if there is no such chip. A path is returned
 * for any file that is there: {@linkcode openChip} says what it is.
 * @throws {LineError} If several chips have the label, or the only chips that
 * could have it may not be opened.
 *
 * @example Is there such a chip?
 * ```ts
 * import { findChip } from "@gpioagg/gpioagg";
 *
 * console.log(findChip("pinctrl-bcm2711") ?? "not a machine of that kind");
 * ```
 */
export function findChip(key: string | number): string | undefined {
  const path = chipPath(key);
  const there = fileStatus(path) !== undefined ? path : undefined;
  // A label may well be the name of some other device ("console").
  if (
    typeof key === "number" || /^\d+$/.test(key) || key.includes("/") ||
    (there !== undefined && whyNotChip(there) === undefined)
  ) return there;
  using stack = new DisposableStack();
  const { chips, denied } = openAll(stack);
  const [found, ...others] = chips.filter(({ label }) => label === key);
  if (found !== undefined && others.length > 0) {
    throw new AmbiguousError({
      chip: `the chip labelled "${key}"`,
      operation: "find",
      reason: `the label is that of ${
        [found, ...others].map(({ name }) => name).join(" and ")
      }; say which by name`,
    });
  }
  if (found === undefined && denied !== undefined) throw denied;
  return found?.path ?? there;
}

/**
 * Opens the chip that {@linkcode findChip} finds.
 *
 * @throws {LineError} If there is no such chip, or it cannot be opened; the
 * message says what it is instead, or which chips there are.
 *
 * @example Open a chip, whoever made it
 * ```ts
 * import { LineError, openChip } from "@gpioagg/gpioagg";
 *
 * try {
 *   using chip = openChip("pinctrl-bcm2711");
 *   console.log(`${chip.name} has ${chip.lineCount} lines`);
 * } catch (error) {
 *   if (!(error instanceof LineError)) throw error;
 *   console.log(error.message);
 * }
 * ```
 */
export function openChip(key: string | number): Chip {
  const path = findChip(key);
  if (path !== undefined) return Chip.open(path);
  const names = listChips().map((chip) => chip.slice("/dev/".length));
  throw new LineError({
    chip: typeof key === "number" ? `chip ${key}` : `chip "${key}"`,
    operation: "open",
    reason: names.length === 0
      ? "there is no such chip: this machine has none"
      : `there is no such chip: there are ${names.join(", ")}`,
  });
}

/** A line that was found by its name. */
export interface FoundLine {
  /** The path of the chip's device file. */
  readonly chipPath: string;
  /** The chip's name: `gpiochip0`. */
  readonly chipName: string;
  /** The line's offset on that chip. */
  readonly offset: number;
  /** The name that was looked for. */
  readonly name: string;
  /** The line, as it stood. */
  readonly info: LineInfo;
}

/** How to look for lines. */
export interface FindOptions {
  /** Look in this chip only; anything that {@linkcode openChip} takes. */
  readonly chip?: string | number | undefined;
  /**
   * Every name must be there exactly once; the lines come in the order of the
   * names then.
   */
  readonly strict?: boolean | undefined;
}

/**
 * Finds lines by name, in one chip or all of them.
 *
 * @param names One name or several.
 * @returns Every line that has one of the names: in the natural order of the
 * chips, then of offsets; or with `strict`, in the order of the names.
 * @throws {LineError} If a name is not there and some chip may not be opened;
 * with `strict`, if a name is not there or comes more than once (the message
 * says where).
 *
 * @example Where are these lines?
 * ```ts
 * import { findLines } from "@gpioagg/gpioagg";
 *
 * for (const { name, chipName, offset } of findLines(["LED0", "BUTTON"])) {
 *   console.log(`${name} is line ${offset} of ${chipName}`);
 * }
 * ```
 */
export function findLines(
  names: string | readonly string[],
  options: FindOptions = {},
): FoundLine[] {
  const wanted = typeof names === "string" ? [names] : names;
  const set = new Set(wanted);
  using stack = new DisposableStack();
  const { chips, denied } = options.chip === undefined
    ? openAll(stack)
    : { chips: [stack.use(openChip(options.chip))], denied: undefined };
  const found = chips.flatMap((chip) => linesOfChip(chip, set));
  const missing = wanted.find((name) =>
    name === "" || !found.some((line) => line.name === name)
  );
  if (missing !== undefined && denied !== undefined) throw denied;
  return options.strict ? strictly(wanted, found, options.chip) : found;
}

function linesOfChip(chip: Chip, names: ReadonlySet<string>): FoundLine[] {
  let infos: LineInfo[];
  try {
    infos = chip.lines();
  } catch (error) {
    // Unplugged while we look: its lines are not there.
    if (error instanceof LineError && vanished(error)) return [];
    throw error;
  }
  return infos
    .filter(({ name }) => name !== "" && names.has(name))
    .map((info) => ({
      chipPath: chip.path,
      chipName: chip.name,
      offset: info.offset,
      name: info.name,
      info,
    }));
}

function strictly(
  names: readonly string[],
  found: readonly FoundLine[],
  chip: string | number | undefined,
): FoundLine[] {
  return names.map((name) => {
    const [line, ...others] = found.filter((one) => one.name === name);
    if (line !== undefined && others.length === 0) return line;
    throw new LineError({
      chip: `line "${name}"`,
      operation: "find",
      reason: line === undefined
        ? chip === undefined
          ? "no chip has a line of that name"
          : `chip ${chip} has no line of that name`
        : `the name is that of ${
          [line, ...others].map((one) =>
            `line ${one.offset} of ${one.chipName}`
          ).join(" and ")
        }`,
    });
  });
}
