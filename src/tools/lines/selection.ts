/**
 * Resolves names, offsets and `CHIP/…` to lines of chips, by libgpiod's rules.
 *
 * @module
 */
import type { Chip } from "../../gpio/chip.ts";
import type { LineInfo } from "../../gpio/line_info.ts";
import { similarName } from "../../gpio/similar_names.ts";
import { splitChipWord, unescapeWord } from "../../config/spec/line_word.ts";
import { shownName } from "../../text/names.ts";
import { printable } from "../../text/printable.ts";
import { findNamedChip, openAllChips, openNamedChip } from "./chips.ts";
import { parseNumber } from "../program/numbers.ts";
import { type Suggest, ToolError } from "../program/tool_error.ts";

/** Scope of a search for lines. */
interface Scope {
  /** `--chip`. */
  readonly chip: string | undefined;
  /** `--by-name`: offsets are not accepted. */
  readonly byName: boolean;
  /** `--strict`: names must be unique. */
  readonly strict: boolean;
}

/** A line that was found. */
export interface SelectedLine {
  /** Index of the user's word. */
  readonly id: string;
  /** Which of the user's words it came from. */
  readonly word: number;
  readonly chip: Chip;
  /** The line's info at the time of the search. */
  readonly info: LineInfo;
  /** True if the name alone identifies the line. */
  readonly knownByName: boolean;
}

/** Result of a search. */
interface Selection {
  /** In the order of the user's words; with `--strict` all that have a name. */
  readonly lines: readonly SelectedLine[];
  /** Problems, in the order of the user's words. */
  readonly problems: readonly string[];
  /** True if a word matches no line. */
  readonly missing: boolean;
  /**
   * The first word that matches several lines although `--strict` forbids it.
   */
  readonly ambiguous: string | undefined;
  /** Errors of chips that could not be opened and may have the lines. */
  readonly unopened: readonly string[];
  /** Finds names like those that match no line. */
  readonly suggest: Suggest;
}

/** Ranges of offsets, as on the command line of `serve`. */
const OFFSETS = /^\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*$/;
/** More lines than any chip has. */
const MAX_OFFSET = 65535;

/** Lines of a chip that a word names as `CHIP/OFFSETS` or `CHIP/LINE_NAME`. */
interface ChipLines {
  readonly chip: string;
  /** Name after the slash. */
  readonly name: string;
  /** The offsets, if it has that form. */
  readonly offsets: readonly number[] | undefined;
}

/** Parses `CHIP/…`, as in a SPEC; undefined if `text` has another form. */
export function parseChipLines(text: string): ChipLines | undefined {
  const word = splitChipWord(text);
  if (word === undefined || word.tail === "") return undefined;
  return {
    chip: unescapeWord(word.chip),
    name: unescapeWord(word.tail),
    offsets: OFFSETS.test(word.tail) ? parseRanges(word.tail) : undefined,
  };
}

/** Parses offset ranges such as `0-7,9`; empty if one is invalid. */
function parseRanges(text: string): number[] | undefined {
  const offsets: number[] = [];
  for (const range of text.split(",")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    if (last > MAX_OFFSET || first > last) return undefined;
    for (let offset = first; offset <= last; offset++) offsets.push(offset);
  }
  return offsets;
}

/** The chips that are searched. */
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

  /** Returns the chip that a SPEC names; undefined if there is none. */
  named(key: string): Chip | undefined {
    if (findNamedChip(key) === undefined) return undefined;
    const chip = this.#stack.use(openNamedChip(key));
    return this.all.find((each) => each.name === chip.name) ?? chip;
  }
}

/**
 * Finds the lines that `words` name.
 *
 * A word is tried as an offset of the chip given by `--chip`; as `CHIP/OFFSETS`
 * or `CHIP/LINE_NAME` if there is such a chip; as a name; and as a name with
 * escapes, as in a SPEC.
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
  if (scope.chip === undefined && !scope.byName) {
    for (const [word, id] of words.entries()) {
      found[word]!.push(...ofSpec(chips, id, word));
    }
  }
  let ambiguous: string | undefined;
  // Literally first: a name may look like one with escapes.
  for (const read of [(id: string) => id, unescapeWord]) {
    const wanted = new Map<string, number[]>();
    for (const [word, id] of words.entries()) {
      const name = read(id);
      // An empty name does not match nameless lines.
      if (byOffset[word] || found[word]!.length > 0 || name === "") continue;
      const shown = shownName(name);
      wanted.set(shown, [...wanted.get(shown) ?? [], word]);
    }
    if (wanted.size > 0) {
      ambiguous ??= findNames(chips.all, wanted, scope, found);
    }
    if (words.every((id) => !id.includes("\\"))) break;
  }
  return {
    lines: found.flat(),
    problems: listProblems(words, scope, found),
    missing: found.some((lines) => lines.length === 0),
    ambiguous,
    unopened: chips.problems,
    suggest: () => {
      const absent = words.filter((_, word) => found[word]!.length === 0);
      return absent.flatMap((word) => similarTo(word, scope) ?? []);
    },
  };
}

function offsetIn(chips: Chips, id: string, scope: Scope): number | undefined {
  if (scope.chip === undefined || scope.byName) return undefined;
  const offset = parseNumber(id);
  return offset !== undefined && offset < chips.all[0]!.lineCount
    ? offset
    : undefined;
}

/** Searches all lines; stops at the first ambiguous one if that is an error. */
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

/** Returns the lines that a word names as `CHIP/…`: all of them or none. */
function ofSpec(chips: Chips, id: string, word: number): SelectedLine[] {
  if (!id.includes("/")) return [];
  const [spec, chip] = matchChipWord(chips, id);
  if (spec === undefined || chip === undefined) return [];
  const { offsets = [] } = spec;
  const areThere = offsets.length > 0 &&
    offsets.every((offset) => offset < chip.lineCount);
  if (!areThere) {
    const shown = shownName(spec.name);
    const info = chip.lines().find(({ name }) => name === shown);
    return info === undefined ? [] : [{
      // Escapes are read already, as those of the name alone are.
      id: `${spec.chip}/${info.name}`,
      word,
      chip,
      info,
      knownByName: false,
    }];
  }
  return offsets.map((offset) => ({
    id: `${spec.chip}/${offset}`,
    word,
    chip,
    info: chip.lineInfo(offset),
    knownByName: false,
  }));
}

/**
 * Returns the chip before the last slash at which there is one, and the rest.
 */
function matchChipWord(
  chips: Chips,
  id: string,
): [ChipLines, Chip] | [undefined, undefined] {
  const spec = parseChipLines(id);
  let chip = spec === undefined ? undefined : chips.named(spec.chip);
  if (spec === undefined) return [undefined, undefined];
  if (chip !== undefined) return [spec, chip];
  // A name on a chip may contain slashes.
  let word = splitChipWord(id);
  while (word !== undefined) {
    word = splitChipWord(word.chip);
    if (word === undefined) break;
    const name = unescapeWord(id.slice(word.chip.length + 1));
    chip = chips.named(unescapeWord(word.chip));
    if (chip !== undefined) {
      return [
        { chip: unescapeWord(word.chip), name, offsets: undefined },
        chip,
      ];
    }
  }
  return [undefined, undefined];
}

function listProblems(
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

/** Returns a name that `word` is probably a slip of, in the form of a word. */
function similarTo(word: string, scope: Scope): string | undefined {
  if (scope.chip !== undefined) {
    const chip = findNamedChip(scope.chip);
    return similarName({ lineName: word, ...(chip && { chip }) });
  }
  const spec = scope.byName ? undefined : parseChipLines(word);
  if (spec === undefined) return similarName({ lineName: word });
  const chip = findNamedChip(spec.chip);
  const similar = similarName(
    chip === undefined ? { chip: spec.chip } : { lineName: spec.name, chip },
  );
  if (similar === undefined) return undefined;
  return chip === undefined
    ? word.replace(splitChipWord(word)!.chip, () => similar)
    : `${spec.chip}/${similar}`;
}

function missingText(id: string, scope: Scope): string {
  const [offset, chip] = scope.byName
    ? []
    : scope.chip !== undefined
    ? [parseNumber(id), scope.chip]
    : specOffset(id);
  return offset === undefined
    ? `cannot find line '${printable(id)}'`
    : `offset ${offset} is out of range on chip '${chip}'`;
}

/** Returns the largest offset of `CHIP/OFFSETS`, if there is such a chip. */
function specOffset(id: string): [offset?: number, chip?: string] {
  const spec = parseChipLines(id);
  if (spec?.offsets === undefined) return [];
  return findNamedChip(spec.chip) === undefined
    ? []
    : [Math.max(...spec.offsets), spec.chip];
}

/**
 * Checks that lines are named at all.
 *
 * @throws {ToolError} If there is no word.
 */
export function needLines(words: readonly string[]): void {
  if (words.length === 0) {
    throw new ToolError("at least one GPIO line must be specified");
  }
}

/**
 * Finds the lines that `words` name, each of which must exist once.
 *
 * @throws {ToolError} If a line is missing, ambiguous or repeated, or its chip
 * cannot be opened.
 *
 * **Ownership**: `stack` closes the chips.
 */
export function selectLines(
  words: readonly string[],
  scope: Scope,
  stack: DisposableStack,
): readonly SelectedLine[] {
  const selection = findSelection(words, scope, stack);
  const { lines, problems, missing, ambiguous, unopened, suggest } = selection;
  if (ambiguous !== undefined) {
    throw new ToolError(`line '${ambiguous}' is not unique`);
  }
  if (missing) {
    throw new ToolError([...unopened, ...problems], { suggest });
  }
  if (problems.length > 0) throw new ToolError(problems);
  return lines;
}
