/**
 * The error about a line that an aggregator does not have.
 *
 * @module
 */
import { nearest } from "../text/nearest.ts";

/** Search for a similar name in the reactor: about 0.1 ms, some 100 names. */
const MAX_COMPARISONS = 25_000;

/** Names the line, and a similar one if there is one. */
export function unknownLine(
  aggregator: {
    readonly name: string;
    readonly lines: readonly { readonly name: string }[];
  },
  name: string,
): RangeError {
  const names = aggregator.lines.map((line) => line.name)
    .filter((one) => one !== "");
  const near = nearest(name, new Set(names), MAX_COMPARISONS);
  return new RangeError(
    `cannot find line "${name}" of ${aggregator.name}` +
      (near === undefined ? "" : `; did you mean ${near}?`),
  );
}
