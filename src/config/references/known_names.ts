/**
 * Names by which references (`copy`, `invert`, `wire`, interlocks, pins) mean
 * lines of an aggregator.
 *
 * @module
 */
import { shownName } from "../../text/names.ts";
import type { ChipProperties } from "../../gpio/chip_properties.ts";
import type {
  LineSpecification,
  SourceSpecification,
} from "../specification.ts";

/** The part of a line's specification that says how it can be referred to. */
type Named = Pick<LineSpecification, "name" | "source">;

/**
 * Returns the words by which a source is known: the whole word first
 * (`gpiochip0/ESTOP`, `gpiochip0/4`, `ETH/0`), then what may be the line's name
 * in it, with ever less of what stands before.
 */
export function sourceNames(source: SourceSpecification): readonly string[] {
  switch (source.kind) {
    case "chip":
      return wordNames(source, String(source.offset)).slice(0, -1);
    case "line-name":
      return wordNames(source, source.lineName);
    case "lane":
      return source.knownAs ?? [];
    default:
      return [];
  }
}

function wordNames(
  { chip, identity }: {
    chip?: string | undefined;
    identity?: ChipProperties | undefined;
  },
  tail: string,
): string[] {
  if (chip === undefined) return [tail];
  const word = `${chip}/${tail}`;
  if (identity !== undefined || chip.startsWith("/")) return [word, tail];
  const parts = word.split("/");
  return parts.map((_, dropped) => parts.slice(dropped).join("/"));
}

/**
 * Returns the lineNumbers of an aggregator's lines by what they are known by.
 *
 * A name of `as` comes first, then a line's whole word, then what may be its
 * name in it. Of two lines that are known by one name, the first is meant.
 */
export function knownNames(
  lines: readonly Named[],
): ReadonlyMap<string, number> {
  const known = new Map<string, number>();
  const add = (name: string, lineNumber: number) => {
    if (!known.has(name)) known.set(name, lineNumber);
  };
  for (const [lineNumber, { name }] of lines.entries()) {
    if (name !== undefined) add(name, lineNumber);
  }
  const words = lines.map(({ name, source }) =>
    name === undefined ? sourceNames(source) : []
  );
  const longest = words.reduce((most, { length }) => Math.max(most, length), 0);
  for (let rank = 0; rank < longest; rank++) {
    for (const [lineNumber, names] of words.entries()) {
      const name = names[rank];
      if (name === undefined) continue;
      add(name, lineNumber);
      // Guests and all tools show what the kernel does.
      add(shownName(name), lineNumber);
    }
  }
  return known;
}

/**
 * Returns running lines by what references call them: as
 * {@linkcode knownNames} says, then by the names that guests see.
 */
export function linesByReference<
  Line extends { readonly name: string; readonly specification: Named },
>(lines: readonly Line[]): ReadonlyMap<string, Line> {
  const found = new Map<string, Line>();
  const specifications = lines.map(({ specification }) => specification);
  for (const [name, lineNumber] of knownNames(specifications)) {
    found.set(name, lines[lineNumber]!);
  }
  for (const line of lines) {
    if (line.name !== "" && !found.has(line.name)) found.set(line.name, line);
  }
  return found;
}
