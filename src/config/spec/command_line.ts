/**
 * The checks that look at several lines at once, for aggregators that come from
 * a command line.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import { crossCheck } from "../checks/cross_checks.ts";
import { presentExposures } from "../checks/exposures.ts";
import { Problems } from "../document/problems.ts";
import { RULE_KEYS } from "../values/rules.ts";
import type {
  AggregatorSpecification,
  Specification,
} from "../specification.ts";

/**
 * Looks up what lines say of each other, and checks it.
 *
 * @throws {ConfigError} At the first thing that is wrong.
 */
export function checkAggregators(
  aggregators: readonly AggregatorSpecification[],
): Specification {
  const problems = new Problems();
  const specification = crossCheck({
    aggregators: aggregators.map(({ name, lines, ...exposure }) => {
      const position = argumentPosition(`--name ${name}`);
      return {
        name,
        position,
        positions: exposurePositions(exposure),
        exposure,
        lines: lines.map((line) => {
          const linePlace = argumentPosition(`--line ${line.origin}`);
          // A SPEC is one word: all of its keys stand where it does.
          const keys = new Map(RULE_KEYS.map((key) => [key, linePlace]));
          return {
            line,
            position: linePlace,
            keys,
            values: keys,
            isSound: true,
          };
        }),
        isComplete: true,
      };
    }),
    interlocks: [],
    brokenAggregators: new Set(),
  }, problems);
  const [first] = problems.sorted();
  if (first !== undefined) throw first;
  return {
    ...specification,
    aggregators: specification.aggregators.map((
      { position: _place, ...aggregator },
    ) => aggregator),
  };
}

/** Options that present an aggregator; `kernel create` has none for that. */
function exposurePositions(
  exposure: Parameters<typeof presentExposures>[0],
): Map<string, ConfigPosition> {
  return new Map(
    presentExposures(exposure).filter(({ name }) => name !== "kernel-chip")
      .map(({ name, argument }) => [name, argumentPosition(argument)]),
  );
}

function argumentPosition(path: string): ConfigPosition {
  return { file: "command line", line: 0, column: 0, path };
}
