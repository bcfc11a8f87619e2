/**
 * References of lines that come to a service while it runs: what they mean is
 * known only there.
 *
 * @module
 */
import { ConfigError } from "./config_error.ts";
import { referenceOf, withReference } from "./references.ts";
import type {
  AggregatorSpecification,
  LineReference,
} from "./specification.ts";

/**
 * Looks up the references that nobody has looked up yet.
 *
 * @param isThere Whether a running aggregator has such a line.
 * @throws {ConfigError} If there is no such line.
 */
export function resolveLate(
  aggregator: AggregatorSpecification,
  isThere: (reference: LineReference) => boolean,
): AggregatorSpecification {
  const own = new Set(aggregator.lines.map(({ name }) => name));
  const lines = aggregator.lines.map((line) => {
    const written = referenceOf(line.source);
    if (written === undefined || written.aggregator !== "") return line;
    const text = written.line;
    const dot = text.indexOf(".");
    const other = {
      aggregator: text.slice(0, Math.max(0, dot)),
      line: text.slice(dot + 1),
    };
    if (own.has(text) && text !== line.name) {
      const reference = { aggregator: aggregator.name, line: text };
      return { ...line, source: withReference(line.source, reference) };
    }
    if (dot > 0 && isThere(other)) {
      return { ...line, source: withReference(line.source, other) };
    }
    throw new ConfigError(`there is no line "${text}" to follow`, {
      ...(line.place ?? { path: `--line ${line.origin}` }),
      hint: "A line is referred to by the name that as= gives it, one of " +
        "another aggregator as AGGREGATOR.LINE",
    });
  });
  return { ...aggregator, lines };
}
