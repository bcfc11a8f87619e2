/**
 * Changes of simulated lines from outside.
 *
 * @module
 */
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { innermost } from "../../aggregator/line_source.ts";
import { SimLine } from "../../aggregator/sources/sim_line.ts";
import { unknownLine } from "../../aggregator/unknown_line.ts";

/** A simulated line and the level to pull it to. */
export interface PinChange {
  readonly line: AggregatorLine;
  readonly pin: SimLine;
  readonly level: 0 | 1;
}

/** Pulls one line. */
export function pullPin({ line, pin, level }: PinChange): void {
  pin.pull(level);
  line.pulled();
}

/**
 * Returns the lines that changes are about.
 *
 * @throws {RangeError} If there is no such line, or it is not simulated.
 */
export function toPinChanges(
  aggregator: Aggregator,
  changes: readonly [line: string, level: 0 | 1][],
): PinChange[] {
  return changes.map(([name, level]) => {
    const line = aggregator.find(name);
    if (line === undefined) {
      throw unknownLine(aggregator, name);
    }
    const pin = innermost(line.source);
    if (!(pin instanceof SimLine)) {
      throw new RangeError(
        `line "${name}" of ${aggregator.name} is ${line.source.description}: ` +
          `only simulated lines can be pulled`,
      );
    }
    return { line, pin, level };
  });
}
