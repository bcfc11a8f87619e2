/**
 * Lines that say of other lines that they follow them.
 *
 * @module
 */
import type { LineReference, SourceSpecification } from "../specification.ts";

/** The line that a source refers to, if it does. */
export function findReference(
  source: SourceSpecification,
): LineReference | undefined {
  switch (source.kind) {
    case "wire":
      return source.to;
    case "copy":
    case "invert":
      return source.of;
    default:
      return undefined;
  }
}

/**
 * Returns the readings of a text as AGGREGATOR.LINE, one for each dot: both
 * names may contain dots.
 */
function splitReference(text: string): LineReference[] {
  const found: LineReference[] = [];
  for (
    let dot = text.indexOf(".");
    dot >= 0;
    dot = text.indexOf(".", dot + 1)
  ) {
    found.push({ aggregator: text.slice(0, dot), line: text.slice(dot + 1) });
  }
  return found;
}

/**
 * Returns the lines that a text may mean, in the order of preference: a line of
 * the aggregator `own` (a name such as USB2.0_MUX_SEL contains a dot), then
 * AGGREGATOR.LINE. Without `own` only the latter.
 */
export function listReadings(text: string, own: string): LineReference[] {
  const others = splitReference(text);
  return own === "" ? others : [{ aggregator: own, line: text }, ...others];
}

/** Returns the problem of a reference that several lines match. */
export function describeAmbiguity(
  text: string,
  matches: readonly LineReference[],
): { problem: string; hint: string } {
  const titles = matches.map(({ aggregator, line }) =>
    `line "${line}" of ${aggregator}`
  );
  return {
    problem: `"${text}" is ambiguous: it is ${titles.join(" and ")}`,
    hint: "Give one of them another name with as",
  };
}

/** The same source with another reference. */
export function withReference(
  source: SourceSpecification,
  reference: LineReference,
): SourceSpecification {
  switch (source.kind) {
    case "wire":
      return { ...source, to: reference };
    case "copy":
    case "invert":
      return { ...source, of: reference };
    default:
      return source;
  }
}
