/**
 * Lines that say of other lines that they follow them.
 *
 * @module
 */
import type { LineReference, SourceSpecification } from "./specification.ts";

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
