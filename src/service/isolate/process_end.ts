/**
 * The end of an isolated aggregator's process with the service: it makes its
 * lines safe itself, or is killed within a limit, and they are made safe for it.
 *
 * @module
 */
import { settlesWithin } from "../../async/wait.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import {
  SAFE_LIMIT_MS,
  UnsafeLinesError,
} from "../messages/unsafe_lines_error.ts";
import type { AggregatorChild } from "./aggregator_child.ts";

/** Limit of a sign of life. **Units**: milliseconds. */
const AWAKE_MS = 2500;
/** Limit of the end that a process makes itself. **Units**: milliseconds. */
const OWN_END_MS = SAFE_LIMIT_MS + 1000;
/** Limit of the death of a process that was killed. **Units**: milliseconds. */
const DEATH_MS = 1000;
/** Limit of the release of lines that a manager keeps. **Units**: ms. */
export const RELEASE_MS = 2000;

/** Most that all of it takes, whatever the process does. **Units**: ms. */
export const PROCESS_END_MS = OWN_END_MS + DEATH_MS + RELEASE_MS +
  SAFE_LIMIT_MS;

/** Puts the lines of aggregators into their declared state, and frees them. */
export type MakeSafe = (
  aggregators: AggregatorSpecification[],
) => Promise<void>;

/**
 * Has a process end what it serves.
 *
 * @returns False if it is gone, stands still or does not come to its end.
 * @throws {Error} If it fails, such as {@linkcode UnsafeLinesError}.
 */
export async function endsItself(
  child: Pick<AggregatorChild, "call" | "pid">,
): Promise<boolean> {
  const from = performance.now();
  const end = child.call("shutdown", []);
  const answers = Promise.race([child.call("pending", []), end]);
  // One that gives up does not get them.
  for (const late of [end, answers]) late.catch(() => {});
  try {
    return await settlesWithin(answers, AWAKE_MS) &&
      await settlesWithin(end, OWN_END_MS - (performance.now() - from));
  } catch (error) {
    if (child.pid !== 0 || error instanceof UnsafeLinesError) throw error;
    return false;
  }
}

/** Waits until a process that was killed holds no line any more. */
export async function untilDead(
  { gone }: Pick<AggregatorChild, "gone">,
): Promise<void> {
  await settlesWithin(gone, DEATH_MS);
}

/**
 * Throws what some ends failed with.
 *
 * @throws {UnsafeLinesError} For all lines that are not safe.
 * @throws {Error} The first error, if there are none.
 */
export function throwFirst(
  ends: readonly PromiseSettledResult<unknown>[],
): void {
  const errors = ends.flatMap((end) =>
    end.status === "rejected" ? [end.reason as unknown] : []
  );
  const unsafe = errors.flatMap((error) =>
    error instanceof UnsafeLinesError ? error.lines : []
  );
  if (unsafe.length > 0) throw new UnsafeLinesError(undefined, unsafe);
  if (errors.length > 0) throw errors[0];
}
