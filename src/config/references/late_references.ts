/**
 * References of lines that come to a service while it runs: what they mean is
 * known only there.
 *
 * @module
 */
import { ConfigError } from "../document/config_error.ts";
import { knownNames } from "./known_names.ts";
import { referenceOf, splitReference, withReference } from "./references.ts";
import type {
  AggregatorSpecification,
  LineReference,
} from "../specification.ts";

/**
 * Looks up the references that are not looked up yet.
 *
 * @param isThere Whether a running aggregator has such a line.
 * @throws {ConfigError} If there is no such line.
 */
export function resolveLate(
  aggregator: AggregatorSpecification,
  isThere: (reference: LineReference) => boolean,
): AggregatorSpecification {
  const own = knownNames(aggregator.lines);
  const lines = aggregator.lines.map((line) => {
    const written = referenceOf(line.source);
    if (written === undefined || written.aggregator !== "") return line;
    const text = written.line;
    if (own.has(text) && text !== line.name) {
      const reference = { aggregator: aggregator.name, line: text };
      return { ...line, source: withReference(line.source, reference) };
    }
    const other = splitReference(text).find((each) =>
      each.aggregator !== "" && isThere(each)
    );
    if (other !== undefined) {
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
