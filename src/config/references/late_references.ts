/**
 * References of lines that come to a service while it runs: what they mean is
 * known only there.
 *
 * @module
 */
import { ConfigError } from "../document/config_error.ts";
import { knownNames } from "./known_names.ts";
import { nearest } from "../../text/nearest.ts";
import {
  describeAmbiguity,
  findReference,
  listReadings,
  withReference,
} from "./references.ts";
import {
  type AggregatorSpecification,
  linePosition,
  type LineReference,
} from "../specification.ts";

/**
 * Looks up the references that are not looked up yet.
 *
 * @param isThere Returns true if a running aggregator has such a line.
 * @throws {ConfigError} If there is no such line, or more than one.
 */
export function resolveLate(
  aggregator: AggregatorSpecification,
  isThere: (reference: LineReference) => boolean,
): AggregatorSpecification {
  const { name } = aggregator;
  const own = knownNames(aggregator.lines);
  const lines = aggregator.lines.map((line) => {
    const written = findReference(line.source);
    if (written === undefined || written.aggregator !== "") return line;
    const text = written.line;
    // A line does not follow itself.
    const isOwn = own.has(text) && text !== line.name;
    const matches = listReadings(text, name).filter((each, i) =>
      i === 0 ? isOwn : each.aggregator !== "" && isThere(each)
    );
    const [match, another] = matches;
    if (match !== undefined && another === undefined) {
      return { ...line, source: withReference(line.source, match) };
    }
    const { problem, hint } = match === undefined
      ? unknownLine(text, [...own.keys()].filter((each) => each !== line.name))
      : describeAmbiguity(text, matches);
    throw new ConfigError(problem, {
      ...linePosition(line),
      hint,
    });
  });
  return { ...aggregator, lines };
}

function unknownLine(
  text: string,
  own: readonly string[],
): { problem: string; hint: string } {
  const near = nearest(text, own);
  return {
    problem: `there is no line "${text}" to follow`,
    hint: near === undefined
      ? "A line is referred to by the name that as= gives it, one of another " +
        "aggregator as AGGREGATOR.LINE"
      : `Did you mean ${near}?`,
  };
}
