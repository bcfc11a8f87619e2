/**
 * Time for which a line was active, from the edges that are recorded.
 *
 * @module
 */
import type { EdgeRecorder } from "./edge_recorder.ts";
import { type LineState, StateBits } from "./record.ts";

const SINCE = 0;
const TOTAL = 1;
const TOLD = 2;
const NS_PER_SECOND = 1e9;

/** Returns true if a line is known to be active. */
function isActive(state: LineState): boolean {
  return (state & (StateBits.Value | StateBits.Present)) ===
    (1 | StateBits.Present);
}

/**
 * Adds up the time for which one line is known to be active. It reads no clock:
 * an edge has its time from its record.
 */
export class ActiveTime {
  /** Begin of the active time, its sum, and the reported part, in nanoseconds. */
  readonly #times = new Float64Array(3);

  /** Begins with a line in `state`. */
  begin(state: LineState, { now }: EdgeRecorder): void {
    if (isActive(state)) this.#times[SINCE] = now;
  }

  /** The edge from `before` to `after` was recorded last. */
  recorded(before: LineState, after: LineState, recorder: EdgeRecorder): void {
    const wasActive = isActive(before);
    if (wasActive === isActive(after)) return;
    const times = this.#times;
    const at = recorder.lastTime;
    if (!wasActive) {
      times[SINCE] = at[0]!;
      return;
    }
    const passed = at[0]! - times[SINCE]!;
    // The kernel's times may be earlier than those of an operation.
    if (passed > 0) times[TOTAL]! += passed;
  }

  /**
   * Returns the time until now, of a line that has `state` since its last edge.
   * It is never less than it was. **Units**: seconds.
   */
  secondsUntilNow(state: LineState, recorder: EdgeRecorder): number {
    const times = this.#times;
    let total = times[TOTAL]!;
    if (isActive(state)) {
      total += Math.max(0, recorder.now - times[SINCE]!);
    }
    // An edge may be reported after it was asked, with an earlier time.
    if (total > times[TOLD]!) times[TOLD] = total;
    return times[TOLD]! / NS_PER_SECOND;
  }
}
