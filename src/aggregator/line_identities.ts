/**
 * Identities of the lines of an aggregator, by which the next process knows them.
 *
 * @module
 */
import type { AggregatorLine } from "./aggregator_line.ts";

/** Returns a text for each line, another one for each, the same after a restart. */
export function identifyLines(lines: readonly AggregatorLine[]): string[] {
  const counts = new Map<string, number>();
  return lines.map((line) => {
    const text = describeIdentity(line);
    // Simulated lines without a name are distinguished by their order only.
    const count = counts.get(text) ?? 0;
    counts.set(text, count + 1);
    return count === 0 ? text : `${text} ${count}`;
  });
}

function describeIdentity(
  { name, specification: { source } }: AggregatorLine,
): string {
  // Nothing but its name says which simulated line it is.
  if (source.kind === "sim") return JSON.stringify([source.kind, name]);
  // A lane and its slots are as the last start had them.
  return JSON.stringify(
    source.kind === "lane"
      ? source.origin ?? source.hostLine ?? source.name
      : source,
  );
}
