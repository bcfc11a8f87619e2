/**
 * Lines of an aggregator one by one, where not all of them can be requested: one
 * that is gone, or that another process holds, does not keep the others from
 * being made safe.
 *
 * @module
 */
import { sleep } from "../async/wait.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../config/specification.ts";
import {
  type AggregatorDescription,
  ReportedError,
} from "./messages/messages.ts";

/** Interval of retries of lines that could not be requested. **Units**: ms. */
const LOOK_MS = 100;

/** Requests lines; all of them, or none. */
export type AddAggregators = (
  aggregators: AggregatorSpecification[],
) => Promise<AggregatorDescription[]>;

/** Outcome of the requests, of each aggregator once. */
interface RequestEvents {
  /** Its lines are requested. */
  added(
    aggregator: AggregatorSpecification,
    description: AggregatorDescription,
  ): void;
  /** They are not, and no retry would change it, or there is no time left. */
  refused(aggregator: AggregatorSpecification, error: unknown): void;
}

/** Returns an aggregator for each line; each has another name. */
export function separated(
  aggregator: AggregatorSpecification,
): AggregatorSpecification[] {
  return aggregator.lines.map((line, i) => ({
    ...aggregator,
    name: partName(aggregator.name, i),
    lines: [line],
  }));
}

/** Returns interlocks that hold between separated lines as before. */
export function separatedInterlocks(
  interlocks: readonly InterlockSpecification[],
  { name, lines }: AggregatorSpecification,
): InterlockSpecification[] {
  return interlocks.map((one) => ({
    ...one,
    exclusive: one.exclusive.flatMap((reference) =>
      reference.aggregator === name
        // Each has one line: the reference finds the one that it means.
        ? lines.map((_, i) => ({ ...reference, aggregator: partName(name, i) }))
        : [reference]
    ),
  }));
}

/** No aggregator's own name has a slash. */
function partName(name: string, index: number): string {
  return `${name}/${index}`;
}

/**
 * Requests the lines of each aggregator. What is busy, or refused by a bus, is
 * retried while there is time, whatever becomes of the others; what can never
 * succeed is not.
 *
 * @param leftMs Returns the time that is left. **Units**: milliseconds.
 */
export async function addEach(
  add: AddAggregators,
  aggregators: readonly AggregatorSpecification[],
  leftMs: () => number,
  events: RequestEvents,
): Promise<void> {
  let left = aggregators;
  for (;;) {
    const busy: AggregatorSpecification[] = [];
    for (const aggregator of left) {
      try {
        const [added] = await add([aggregator]);
        events.added(aggregator, added!);
      } catch (error) {
        const isOver = !(error instanceof ReportedError) ||
          !error.isTransient || leftMs() <= 0;
        if (isOver) events.refused(aggregator, error);
        else busy.push(aggregator);
      }
    }
    if (busy.length === 0) return;
    left = busy;
    await sleep(LOOK_MS);
  }
}
