/**
 * The error when an aggregator ends and lines are not in their declared state.
 *
 * @module
 */
import type { UnsafeLineState } from "./messages.ts";

/** Time that lines get to reach their declared state. **Units**: ms. */
export const SAFE_LIMIT_MS = 5000;

/** Lines are not in their declared state although that was retried. */
export class UnsafeLinesError extends Error {
  /** Always `"UnsafeLinesError"`. */
  override readonly name = "UnsafeLinesError";
  /** The aggregator that stays until they are safe, if any. */
  readonly aggregator: string | undefined;
  /** The lines, each with the cause. */
  readonly lines: readonly UnsafeLineState[];

  /**
   * Names the lines, after retries for `limitMs`. `aggregator` is the one that
   * stays until they are safe; without it they have been released as they are.
   */
  constructor(
    aggregator: string | undefined,
    lines: readonly UnsafeLineState[],
    limitMs = SAFE_LIMIT_MS,
  ) {
    const list = lines.map(({ aggregator, line, reason }) =>
      `${aggregator}.${line} (${reason})`
    );
    const what = lines.length === 1
      ? "is not in its declared state"
      : "are not in their declared state";
    super(
      `${list.join(", ")} ${what} after ${limitMs / 1000} s: ` +
        (aggregator === undefined
          ? "left as found"
          : `${aggregator} has no guest any more, retries, and is ` +
            "removed as soon as that succeeds"),
    );
    this.aggregator = aggregator;
    this.lines = lines;
  }
}
