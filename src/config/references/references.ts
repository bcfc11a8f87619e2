/**
 * Lines that say of other lines that they follow them.
 *
 * @module
 */
import type { LineReference, SourceSpecification } from "../specification.ts";

/** The line that a source refers to, if it does. */
export function referenceOf(
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
export function splitReference(text: string): LineReference[] {
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
