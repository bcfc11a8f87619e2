/**
 * From what the user calls a line to what the kernel's aggregator calls it: a
 * chip's label and an offset, or a line's name where the label is no help.
 *
 * @module
 */
import { realPath } from "../../ffi/files.ts";
import { ConfigError, type ConfigPlace } from "../config/config_error.ts";
import { type LineSpecification, lineTitle } from "../config/specification.ts";
import { AbsentError, AmbiguousError } from "../gpio/errors.ts";
import { locateLine } from "../gpio/locate_line.ts";
import type { HostChip } from "./host_chips.ts";
import { placeOf } from "./rules.ts";

/** One line, as the kernel is told of it. */
export interface KernelLine {
  /** What messages call it: where it is written, or its SPEC. */
  readonly title: string;
  /** Where it is written. */
  readonly place: Partial<ConfigPlace>;
  /** The chip's label, or the line's own name when `offset` is -1. */
  readonly key: string;
  /** The line's number on its chip; -1 to have the kernel look for its name. */
  readonly offset: number;
  /** The name on the new chip; empty for none. */
  readonly name: string;
  /** Where the line is on this host: `gpiochip0`. */
  readonly chip: string;
  /** Its number there; the same as `offset` where that is not -1. */
  readonly chipOffset: number;
  /** Whether the user asked for the name, or it is the line's own. */
  readonly nameAsked: boolean;
}

/** How much of a label or name the kernel shows: it may be just this long. */
const SHOWN_BYTES = 31;
/** Label of the chips that the kernel's aggregator makes. */
const AGGREGATED = /^gpio-aggregator\.\d+$/;

/**
 * Finds every line on the host's chips, and makes sure that it can be had.
 *
 * @throws {ConfigError} If a line cannot be told apart, is not there, or is
 * asked for twice.
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
    const place = `${chip.name} line ${offset}`;
    const other = taken.get(place);
    if (other !== undefined) {
      throw specError(line, `${place} is asked for twice, also by ${other}`);
    }
    taken.set(place, line.origin);
    if (host.used) {
      throw new Error(
        `Cannot have ${lineTitle(line)}: ${place} is busy (EBUSY), held ` +
          `by "${host.consumer}"`,
      );
    }
    return {
      title: lineTitle(line),
      place: placeOf(line, 0),
      ...keyOf(line, chip, offset, chips),
      name: line.name ?? host.name,
      nameAsked: line.name !== undefined,
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
  if (source.kind !== "chip") throw specError(line, "is no line of a chip");
  const { chip: wanted, offset } = source;
  // A path may be a link that a rule of udev's made.
  const real = wanted.startsWith("/") ? realPath(wanted) : undefined;
  const exact = chips.filter(({ name, path }) =>
    name === wanted || path === real || name === `gpiochip${wanted}`
  );
  const found = exact.length > 0
    ? exact
    : chips.filter(({ label }) => label === wanted);
  const [chip] = found;
  if (chip === undefined) {
    throw specError(
      line,
      `there is no chip "${wanted}"`,
      "gpioagg detect lists the chips of this host",
    );
  }
  if (found.length > 1) {
    throw specError(
      line,
      `${found.length} chips have the label "${wanted}": ` +
        found.map(({ name }) => name).join(", "),
      "Name the chip by its number or path",
    );
  }
  if (offset >= chip.lines.length) {
    throw specError(
      line,
      `${chip.name} has no line ${offset}, its last is ` +
        `${chip.lines.length - 1}`,
    );
  }
  return [chip, offset];
}

/** A chip that is known by what never changes. */
function findByIdentity(
  line: LineSpecification,
  chips: readonly HostChip[],
): [HostChip, number] {
  const { source } = line;
  try {
    if (source.kind !== "chip" && source.kind !== "line-name") {
      throw new TypeError(`a ${source.kind} has no identity`);
    }
    const { chipPath, offset } = locateLine(source);
    const chip = chips.find(({ path }) => path === chipPath);
    if (chip !== undefined) return [chip, offset];
    throw new AbsentError({
      chip: chipPath,
      operation: "find",
      reason: "it went away at this moment",
    });
  } catch (error) {
    if (!(error instanceof AmbiguousError || error instanceof AbsentError)) {
      throw error;
    }
    throw specError(line, error.message);
  }
}

function findByName(
  line: LineSpecification,
  lineName: string,
  chips: readonly HostChip[],
): [HostChip, number] {
  // A name that an aggregated chip shows is a copy, unless it is the only one.
  const all = placesOf(lineName, chips);
  const originals = all.filter(([chip]) => !AGGREGATED.test(chip.label));
  const found = originals.length > 0 ? originals : all;
  const [first] = found;
  if (first === undefined) {
    throw specError(
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
      "Write the one that is meant as CHIP/OFFSET",
    );
  }
  return first;
}

/**
 * How the kernel finds the line. It looks for a chip by its label and takes the
 * first of several, so a label that is there twice must not be used.
 */
function keyOf(
  line: LineSpecification,
  chip: HostChip,
  offset: number,
  chips: readonly HostChip[],
): { key: string; offset: number } {
  const { label } = chip;
  const isUnique = chips.filter((other) => other.label === label).length === 1;
  if (isUnique && isKey(label)) return { key: label, offset };
  const { name } = chip.lines[offset]!;
  if (isKey(name) && placesOf(name, chips).length === 1) {
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
 * Whether the kernel finds by this text what shows it. It shows no more than 31
 * bytes of a longer one, and when it is told a text it cuts blanks off; a letter
 * that ends with the byte a0 ends with a blank to it.
 */
function isKey(text: string): boolean {
  const { length, [length - 1]: last } = new TextEncoder().encode(text);
  return length > 0 && length < SHOWN_BYTES && text === text.trim() &&
    last !== 0xa0 && !text.includes("\ufffd");
}

function placesOf(
  lineName: string,
  chips: readonly HostChip[],
): [HostChip, number][] {
  return chips.flatMap((chip) =>
    chip.lines.flatMap(({ name }, offset): [HostChip, number][] =>
      name === lineName ? [[chip, offset]] : []
    )
  );
}

function specError(
  line: LineSpecification,
  problem: string,
  hint = "",
): ConfigError {
  return new ConfigError(problem, { ...placeOf(line, 0), hint });
}
