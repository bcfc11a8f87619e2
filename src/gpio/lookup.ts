/**
 * Finding chips and lines.
 *
 * @module
 */
import { fileStatus } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import {
  requireArray,
  requireBoolean,
  requireKeys,
  requireString,
} from "../text/arguments.ts";
import { nameText, shownName } from "../text/names.ts";
import { Chip } from "./chip.ts";
import {
  chipPath,
  listChipNodes,
  listedPath,
  namedChipPath,
} from "./chip_nodes.ts";
import { AmbiguousError, LineError } from "./errors.ts";
import type { LineInfo } from "./line_info.ts";

/**
 * Lists the paths of this machine's GPIO chips, in natural order (2 before 10).
 * Device files may have any name; a chip with several comes once, and links are
 * left out.
 *
 * @throws {OsError} If `/dev` cannot be read.
 *
 * **Blocking**: reads `/dev`; opens no chip.
 *
 * @example List the chips of this machine
 * ```ts
 * import { listChips } from "@gpioagg/gpioagg";
 *
 * console.log(listChips().join("\n") || "this machine has no GPIO chips");
 * ```
 */
export function listChips(): string[] {
  return listChipNodes().map(({ path }) => path);
}

/** The chips that could be opened, and why some could not. */
interface Scan {
  readonly chips: Chip[];
  /** The first chip that may not be opened. */
  denied: LineError | undefined;
}

/**
 * Opens all chips that can be opened; a chip that vanishes meanwhile is left out.
 */
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
 * Finds a chip by number (`0`, `"0"`), name (`"gpiochip0"`), path (of its
 * device file or a link to it) or label, tried in this order.
 *
 * A name is that of a device file in `/dev`, or the kernel's name for the chip
 * where its device file is called otherwise. A path always means the device
 * behind it.
 *
 * @returns The path, or undefined if there is no such chip. A path is returned
 * for any file that is there: {@linkcode openChip} says what it is.
 * @throws {LineError} If several chips have the name or label, or the only
 * chips that could have it may not be opened.
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
  if (typeof key === "string" && key.includes("/")) return there;
  const named = namedChipPath(path);
  if (named !== undefined) return named;
  if (typeof key === "number" || /^\d+$/.test(key)) return there;
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
 * @example Open a chip, whatever made it
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
  const names = listChipNodes().map(({ path, kernelName }) =>
    path === `/dev/${kernelName}` ? kernelName : path
  );
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
  /** The line's name, as the kernel shows it: 31 bytes at most. */
  readonly name: string;
  /** The line, as it stood. */
  readonly info: LineInfo;
}

/** Options of a search for lines. */
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
  requireArray("names", wanted);
  for (const name of wanted) requireString("A line's name", name);
  requireKeys("the options", options, ["chip", "strict"]);
  if (options.strict !== undefined) requireBoolean("strict", options.strict);
  const set = new Set(wanted.map(shownName));
  using stack = new DisposableStack();
  const { chips, denied } = options.chip === undefined
    ? openAll(stack)
    : { chips: [stack.use(openChip(options.chip))], denied: undefined };
  const found = chips.flatMap((chip) => linesOfChip(chip, set));
  const missing = wanted.find((name) =>
    name === "" || !found.some((line) => line.name === shownName(name))
  );
  if (missing !== undefined && denied !== undefined) throw denied;
  return options.strict ? strictly(wanted, found, options.chip) : found;
}

/** Lines by name, of one chip or of all. */
interface NameIndex {
  readonly byName: ReadonlyMap<string, readonly FoundLine[]>;
  /** The first chip that may not be opened. */
  readonly denied: LineError | undefined;
}

/** Indexes by the chip's path, `""` for all; while many names are looked up. */
let indexes: Map<string, NameIndex> | undefined;

/**
 * One scan for many lookups that are made at several times: chips are read when
 * the first needs them, and not again.
 */
export class OneScan {
  readonly #indexes = new Map<string, NameIndex>();

  /** Calls `action`, whose lookups use this scan. */
  during<T>(action: () => T): T {
    if (indexes !== undefined) return action();
    indexes = this.#indexes;
    try {
      return action();
    } finally {
      indexes = undefined;
    }
  }
}

/**
 * Calls `action`, which looks up many lines: chips are then read once, and not
 * for each name.
 */
export function withOneScan<T>(action: () => T): T {
  return new OneScan().during(action);
}

/**
 * Finds lines by one name, in one chip or all of them, as {@linkcode findLines}
 * does.
 *
 * @throws {LineError} As that does.
 */
export function linesNamed(
  name: string,
  chip?: string | number,
): readonly FoundLine[] {
  if (indexes === undefined) return findLines(name, { chip });
  const path = chip === undefined ? "" : findChip(chip) ?? String(chip);
  let index = indexes.get(path);
  if (index === undefined) indexes.set(path, index = readIndex(path));
  const found = index.byName.get(shownName(name)) ?? [];
  if (found.length === 0 && index.denied !== undefined) throw index.denied;
  return found;
}

function readIndex(path: string): NameIndex {
  using stack = new DisposableStack();
  const { chips, denied } = path === ""
    ? openAll(stack)
    : { chips: [stack.use(openChip(path))], denied: undefined };
  const lines = chips.flatMap((chip) => linesOfChip(chip, undefined));
  return { byName: Map.groupBy(lines, ({ name }) => name), denied };
}

/** The lines of a chip that have one of the names; undefined: that have any. */
function linesOfChip(
  chip: Chip,
  names: ReadonlySet<string> | undefined,
): FoundLine[] {
  let infos: LineInfo[];
  let path: string | undefined;
  try {
    infos = chip.lines();
  } catch (error) {
    // Unplugged while we look: its lines are not there.
    if (error instanceof LineError && vanished(error)) return [];
    throw error;
  }
  return infos
    .filter(({ name }) => name !== "" && names?.has(name) !== false)
    .map((info) => ({
      chipPath: path ??= listedPath(chip.path),
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
    const [line, ...others] = found.filter((one) =>
      one.name === shownName(name)
    );
    if (line !== undefined && others.length === 0) return line;
    throw new LineError({
      chip: `line "${nameText(name)}"`,
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
