/**
 * When a service that crashed is followed by the next process, and when no more.
 *
 * @module
 */

/** Delays before the next process, by the number of crashes. **Units**: ms. */
const DELAYS_MS = [0, 100, 200, 400, 800] as const;
/** Time after which a crash does not count any more. **Units**: ms. */
const WINDOW_MS = 30_000;

/** Counts crashes of one service. */
export class CrashPolicy {
  /** Times of the crashes that count. **Units**: ms. */
  #crashes: number[] = [];

  /**
   * Returns the delay before the next process, undefined if there shall be
   * none. **Units**: milliseconds.
   *
   * @param nowMs Time of the crash, monotonic.
   */
  delayAfterCrash(nowMs: number): number | undefined {
    this.#crashes = this.#crashes.filter((at) => nowMs - at < WINDOW_MS);
    return DELAYS_MS[this.#crashes.push(nowMs) - 1];
  }
}
