/**
 * Which lines are meant: names, offsets and `CHIP/…` to lines of chips,
 * by libgpiod's rules.
 *
 * @module
 */
import type { Chip } from "../gpio/chip.ts";
import type { LineInfo } from "../gpio/line_info.ts";
import { findNamedChip, openAllChips, openNamedChip } from "./chips.ts";
import { parseNumber } from "./numbers.ts";
import { ToolError } from "./tool_error.ts";

/** How lines are looked for. */
export interface Scope {
  /** `--chip`. */
  readonly chip: string | undefined;
  /** `--by-name`: no line is meant by its offset. */
  readonly byName: boolean;
  /** `--strict`: names must be unique. */
  readonly strict: boolean;
}

/** A line that was found. */
export interface SelectedLine {
  /** How the user named it. */
  readonly id: string;
  /** Which of the user's words it came from. */
  readonly word: number;
  readonly chip: Chip;
  /** The line, as it stood when it was looked up. */
  readonly info: LineInfo;
  /** Whether the name alone tells which line it is. */
  readonly knownByName: boolean;
}

/** What was found, and what was not. */
export interface Selection {
  /** In the order of the user's words; with `--strict` all that have a name. */
  readonly lines: readonly SelectedLine[];
  /** What is wrong, in the order of the user's words. */
  readonly problems: readonly string[];
  /** Whether a word means no line. */
  readonly missing: boolean;
  /** The first word that means several lines though `--strict` forbids it. */
  readonly ambiguous: string | undefined;
  /** Why chips could not be opened that may have had the lines. */
  readonly unopened: readonly string[];
}

/** Ranges of offsets, as the command line of `serve` has them. */
const OFFSETS = /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/;
/** More lines than any chip has. */
const MAX_OFFSET = 65535;

/** Lines of a chip that a word names as `CHIP/OFFSETS` or `CHIP/LINE_NAME`. */
export interface ChipLines {
  readonly chip: string;
  /** What stands behind the slash. */
  readonly name: string;
  /** The offsets, if that is what it is. */
  readonly offsets: readonly number[] | undefined;
}

/** Reads `CHIP/…`; undefined if `text` is something else. */
export function parseChipLines(text: string): ChipLines | undefined {
  const slash = text.lastIndexOf("/");
  const chip = text.slice(0, slash);
  const name = text.slice(slash + 1);
  if (slash <= 0 || name === "") return undefined;
  return {
    chip,
    name,
    offsets: OFFSETS.test(name) ? rangesOf(name) : undefined,
  };
}

/** Offsets of ranges such as `0-7,9`; none if a range is none. */
function rangesOf(text: string): number[] | undefined {
  const offsets: number[] = [];
  for (const range of text.split(",")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    if (last > MAX_OFFSET || first > last) return undefined;
    for (let offset = first; offset <= last; offset++) offsets.push(offset);
  }
  return offsets;
}

/** The chips that are looked at. */
class Chips {
  readonly all: readonly Chip[];
  readonly problems: readonly string[];
  readonly #stack: DisposableStack;

  constructor(scope: Scope, stack: DisposableStack) {
    this.#stack = stack;
    if (scope.chip !== undefined) {
      this.all = [stack.use(openNamedChip(scope.chip))];
      this.problems = [];
    } else {
      const { chips, problems } = openAllChips(stack);
      this.all = chips;
      this.problems = problems;
    }
  }

  /** The chip that a SPEC names; undefined if there is none. */
  named(key: string): Chip | undefined {
    if (findNamedChip(key) === undefined) return undefined;
    const chip = this.#stack.use(openNamedChip(key));
    return this.all.find((each) => each.path === chip.path) ?? chip;
  }
}

/**
 * Finds the lines that `words` mean.
 *
 * A word is looked for as an offset of the chip given by `--chip`, then as a
 * name, then as `CHIP/OFFSETS` or `CHIP/LINE_NAME`.
 *
 * @throws {ToolError} If the chip given by `--chip` cannot be opened.
 *
 * **Ownership**: `stack` closes the chips.
 */
export function findSelection(
  words: readonly string[],
  scope: Scope,
  stack: DisposableStack,
): Selection {
  const chips = new Chips(scope, stack);
  const found: SelectedLine[][] = words.map(() => []);
  const byOffset = words.map((id, word) => {
    const offset = offsetIn(chips, id, scope);
    if (offset === undefined) return false;
    const chip = chips.all[0]!;
    const info = chip.lineInfo(offset);
    found[word]!.push({ id, word, chip, info, knownByName: false });
    return true;
  });
  const wanted = new Map<string, number[]>();
  for (const [word, id] of words.entries()) {
    // Nameless lines are not found by an empty name.
    if (byOffset[word] || id === "") continue;
    wanted.set(id, [...wanted.get(id) ?? [], word]);
  }
  const ambiguous = findNames(chips.all, wanted, scope, found);
  if (scope.chip === undefined && !scope.byName) {
    for (const [word, id] of words.entries()) {
      if (found[word]!.length === 0) {
        found[word]!.push(...ofSpec(chips, id, word));
      }
    }
  }
  return {
    lines: found.flat(),
    problems: problemsOf(words, scope, found),
    missing: found.some((lines) => lines.length === 0),
    ambiguous,
    unopened: chips.problems,
  };
}

function offsetIn(chips: Chips, id: string, scope: Scope): number | undefined {
  if (scope.chip === undefined || scope.byName) return undefined;
  const offset = parseNumber(id);
  return offset !== undefined && offset < chips.all[0]!.lineCount
    ? offset
    : undefined;
}

/** Looks through all lines; the first that is ambiguous although it must not be. */
function findNames(
  chips: readonly Chip[],
  wanted: ReadonlyMap<string, readonly number[]>,
  scope: Scope,
  found: readonly SelectedLine[][],
): string | undefined {
  const missing = new Set(wanted.keys());
  let ambiguous: string | undefined;
  for (const chip of chips) {
    for (let offset = 0; offset < chip.lineCount; offset++) {
      if (missing.size === 0 && !scope.strict) return ambiguous;
      const info = chip.lineInfo(offset);
      const words = wanted.get(info.name);
      if (words === undefined) continue;
      const first = missing.delete(info.name);
      if (!first && !scope.strict) continue;
      if (!first) ambiguous ??= info.name;
      for (const word of words) {
        found[word]!.push({
          id: info.name,
          word,
          chip,
          info,
          knownByName: scope.chip === undefined,
        });
      }
    }
  }
  return ambiguous;
}

/** The lines that a word names as `CHIP/…`: all of them or none. */
function ofSpec(chips: Chips, id: string, word: number): SelectedLine[] {
  const spec = parseChipLines(id);
  const chip = spec === undefined ? undefined : chips.named(spec.chip);
  if (spec === undefined || chip === undefined) return [];
  if (spec.offsets === undefined) {
    const info = chip.lines().find(({ name }) => name === spec.name);
    return info === undefined
      ? []
      : [{ id, word, chip, info, knownByName: false }];
  }
  if (spec.offsets.some((offset) => offset >= chip.lineCount)) return [];
  return spec.offsets.map((offset) => ({
    id: `${spec.chip}/${offset}`,
    word,
    chip,
    info: chip.lineInfo(offset),
    knownByName: false,
  }));
}

function problemsOf(
  words: readonly string[],
  scope: Scope,
  found: readonly (readonly SelectedLine[])[],
): string[] {
  const problems: string[] = [];
  const taken = new Map<string, string>();
  for (const [word, id] of words.entries()) {
    const lines = found[word]!;
    if (lines.length === 0) problems.push(missingText(id, scope));
    for (const line of lines) {
      const place = `${line.chip.name} ${line.info.offset}`;
      const other = taken.get(place);
      if (other === undefined) taken.set(place, line.id);
      else problems.push(`lines '${other}' and '${line.id}' are the same line`);
    }
  }
  return problems;
}

function missingText(id: string, scope: Scope): string {
  const [offset, chip] = scope.byName
    ? []
    : scope.chip !== undefined
    ? [parseNumber(id), scope.chip]
    : specOffset(id);
  return offset === undefined
    ? `cannot find line '${id}'`
    : `offset ${offset} is out of range on chip '${chip}'`;
}

/** The largest offset of `CHIP/OFFSETS`, if there is such a chip. */
function specOffset(id: string): [offset?: number, chip?: string] {
  const spec = parseChipLines(id);
  if (spec?.offsets === undefined) return [];
  return findNamedChip(spec.chip) === undefined
    ? []
    : [Math.max(...spec.offsets), spec.chip];
}

/**
 * Finds the lines that `words` mean, each of which must be there once.
 *
 * @throws {ToolError} If a line is missing, ambiguous or given twice, or its
 * chip cannot be opened.
 *
 * **Ownership**: `stack` closes the chips.
 */
export function selectLines(
  words: readonly string[],
  scope: Scope,
  stack: DisposableStack,
): readonly SelectedLine[] {
  const selection = findSelection(words, scope, stack);
  const { lines, problems, missing, ambiguous, unopened } = selection;
  if (ambiguous !== undefined) {
    throw new ToolError(`line '${ambiguous}' is not unique`);
  }
  if (missing) throw new ToolError([...unopened, ...problems]);
  if (problems.length > 0) throw new ToolError(problems);
  return lines;
}
