/**
 * Translates a user's line to the kernel aggregator's key: a chip's label and
 * an offset, or a line's name if the label is not unique.
 *
 * @module
 */
import {
  ConfigError,
  type ConfigPosition,
} from "../config/document/config_error.ts";
import {
  linePosition,
  type LineSpecification,
  lineTitle,
} from "../config/specification.ts";
import { listedPath } from "../gpio/chip_nodes.ts";
import { AbsentError, AmbiguousError } from "../gpio/errors.ts";
import { suggestionFor } from "../gpio/similar_names.ts";
import { locateWanted } from "../gpio/locate_line.ts";
import { shownName } from "../text/names.ts";
import type { HostChip } from "./host_chips.ts";

/** One line in the kernel's terms. */
export interface KernelLine {
  /** Title in messages: its position in a file, or its SPEC. */
  readonly title: string;
  /** Position in the file. */
  readonly position: Partial<ConfigPosition>;
  /** The chip's label, or the line's own name when `offset` is -1. */
  readonly key: string;
  /**
   * The line's number on its chip; -1 to have the kernel search for its name.
   */
  readonly offset: number;
  /** The name on the new chip; empty for none. */
  readonly name: string;
  /** Chip of the line on this host: `gpiochip0`. */
  readonly chip: string;
  /** Its number there; equal to `offset` unless that is -1. */
  readonly chipOffset: number;
  /** True if the user requested the name; false if it is the line's own. */
  readonly isNameRequested: boolean;
}

/** Length at which the kernel may have cut a label or name. */
const SHOWN_BYTES = 31;
/** Label of the chips that the kernel's aggregator makes. */
const AGGREGATED = /^gpio-aggregator\.\d+$/;

/**
 * Finds every line on the host's chips, and checks that it is free.
 *
 * @throws {ConfigError} If a line is ambiguous, does not exist, or is repeated.
 * @throws {Error} If a line is in use.
 */
export function resolveLines(
  lines: readonly LineSpecification[],
  chips: readonly HostChip[],
): KernelLine[] {
  const taken = new Map<string, string>();
  return lines.map((line) => {
    const [chip, offset] = find(line, chips);
    const host = chip.lines[offset]!;
    const position = `${chip.name} line ${offset}`;
    const other = taken.get(position);
    if (other !== undefined) {
      throw specError(line, `${position} is requested twice, also by ${other}`);
    }
    taken.set(position, line.origin);
    if (host.used) {
      throw new Error(
        `Cannot request ${
          lineTitle(line)
        }: ${position} is busy (EBUSY), held ` +
          `by "${host.consumer}"`,
      );
    }
    return {
      title: lineTitle(line),
      position: linePosition(line),
      ...lineKey(line, chip, offset, chips),
      name: line.name ?? host.name,
      isNameRequested: line.name !== undefined,
      chip: chip.name,
      chipOffset: offset,
    };
  });
}

function find(
  line: LineSpecification,
  chips: readonly HostChip[],
): [HostChip, number] {
  const { source } = line;
  const isKnown = source.kind === "chip" && source.identity !== undefined ||
    source.kind === "line-name" &&
      (source.identity ?? source.chip) !== undefined;
  if (isKnown) return findByIdentity(line, chips);
  if (source.kind === "line-name") {
    return findByName(line, source.lineName, chips);
  }
  if (source.kind !== "chip") throw specError(line, "is not a line of a chip");
  const { chip: wanted, offset } = source;
  const exact = wanted.includes("/")
    ? chips.filter(({ path }) => path === listedPath(wanted))
    : namedChips(wanted, chips);
  const found = exact.length > 0
    ? exact
    : chips.filter(({ label }) => label === wanted);
  const [chip] = found;
  if (chip === undefined) {
    // `ETH/0` may be a line's name.
    const name = `${wanted}/${offset}`;
    if (findLinesByName(name, chips).length > 0) {
      return findByName(line, name, chips);
    }
    throw absentError(
      line,
      `there is no chip "${wanted}"`,
      "gpioagg detect lists the chips of this host",
    );
  }
  if (found.length > 1) {
    throw specError(
      line,
      `${found.length} chips have the ${
        exact.length > 0 ? "name" : "label"
      } "${wanted}": ` + found.map(({ name }) => name).join(", "),
      "Use the chip's number or path",
    );
  }
  if (offset >= chip.lines.length) {
    throw absentError(
      line,
      `${chip.name} has no line ${offset}, its last is ` +
        `${chip.lines.length - 1}`,
    );
  }
  return [chip, offset];
}

/**
 * Returns chips by number or name: the kernel's, or that of a device file in
 * `/dev`.
 */
function namedChips(wanted: string, chips: readonly HostChip[]): HostChip[] {
  const name = /^\d+$/.test(wanted) ? `gpiochip${Number(wanted)}` : wanted;
  return chips.filter((chip) =>
    chip.name === name || chip.path === `/dev/${name}`
  );
}

/** Returns a chip by its stable identity. */
function findByIdentity(
  line: LineSpecification,
  chips: readonly HostChip[],
): [HostChip, number] {
  const { source } = line;
  try {
    if (source.kind !== "chip" && source.kind !== "line-name") {
      throw new TypeError(`a ${source.kind} has no identity`);
    }
    const { chipPath, offset } = locateWanted(source);
    const chip = chips.find(({ path }) => path === chipPath);
    if (chip !== undefined) return [chip, offset];
    throw new AbsentError({
      chip: chipPath,
      operation: "find",
      reason: "it was just removed",
    });
  } catch (error) {
    if (!(error instanceof AmbiguousError || error instanceof AbsentError)) {
      throw error;
    }
    const refusal = error instanceof AbsentError ? absentError : specError;
    throw refusal(line, `${error.message}${suggestionFor(error)}`);
  }
}

function findByName(
  line: LineSpecification,
  lineName: string,
  chips: readonly HostChip[],
): [HostChip, number] {
  // A name on an aggregated chip is a copy, unless it is the only one.
  const all = findLinesByName(lineName, chips);
  const originals = all.filter(([chip]) => !AGGREGATED.test(chip.label));
  const found = originals.length > 0 ? originals : all;
  const [first] = found;
  if (first === undefined) {
    throw absentError(
      line,
      `no chip of this host has a line named "${lineName}"`,
      "gpioagg info lists the lines of this host",
    );
  }
  if (found.length > 1) {
    throw specError(
      line,
      `${found.length} lines have the name "${lineName}": ` +
        found.map(([chip, offset]) => `${chip.name}/${offset}`).join(", "),
      "Use CHIP/OFFSET",
    );
  }
  return first;
}

/**
 * Returns the key by which the kernel finds the line. It searches for a chip by
 * its label and takes the first match, so a duplicate label cannot be used.
 */
function lineKey(
  line: LineSpecification,
  chip: HostChip,
  offset: number,
  chips: readonly HostChip[],
): { key: string; offset: number } {
  const { label } = chip;
  const isUnique = chips.filter((other) => other.label === label).length === 1;
  if (isUnique && isKey(label)) return { key: label, offset };
  const { name } = chip.lines[offset]!;
  if (isKey(name) && findLinesByName(name, chips).length === 1) {
    return { key: name, offset: -1 };
  }
  throw specError(
    line,
    `the kernel cannot find ${chip.name} line ${offset}: it looks for a ` +
      `chip by label, and ` +
      (label === ""
        ? `this one has none`
        : isUnique
        ? `"${label}" is not all of it, or has blanks at its ends`
        : `"${label}" is not the only "${label}"`),
    "A line with a name of its own, unique on this host, can be found by that",
  );
}

/**
 * Returns true if the kernel finds a chip or line by the text that it shows for
 * it. It shows at most 31 bytes of a longer text, and removes blanks at the ends
 * of a text that it is given; a last byte of 0xa0 counts as a blank.
 */
function isKey(text: string): boolean {
  const { length, [length - 1]: last } = new TextEncoder().encode(text);
  return length > 0 && length < SHOWN_BYTES && text === text.trim() &&
    last !== 0xa0 && !text.includes("\ufffd");
}

function findLinesByName(
  lineName: string,
  chips: readonly HostChip[],
): [HostChip, number][] {
  return chips.flatMap((chip) =>
    chip.lines.flatMap(({ name }, offset): [HostChip, number][] =>
      name === shownName(lineName) ? [[chip, offset]] : []
    )
  );
}

function specError(
  line: LineSpecification,
  problem: string,
  hint = "",
): ConfigError {
  return new ConfigError(problem, { ...linePosition(line), hint });
}

/** Returns the error for a chip or line that this host does not have. */
function absentError(
  line: LineSpecification,
  problem: string,
  hint = "",
): ConfigError {
  return new ConfigError(problem, {
    ...linePosition(line),
    hint,
    isAbsent: true,
  });
}
