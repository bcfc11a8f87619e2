/**
 * The error about a line that an aggregator does not have.
 *
 * @module
 */
import { nearestForPeer } from "../text/nearest.ts";

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
  const near = nearestForPeer(name, new Set(names));
  return new RangeError(
    `cannot find line "${name}" of ${aggregator.name}` +
      (near === undefined ? "" : `; did you mean ${near}?`),
  );
}
