/**
 * When a service that crashed is followed by the next process, and when no more.
 *
 * @module
 */

/** Delays before the next process, by the number of crashes. **Units**: ms. */
const DELAYS_MS = [0, 100, 200, 400, 800] as const;
/** Time of service after which earlier crashes do not count. **Units**: ms. */
const STEADY_MS = 10_000;

/** Counts crashes of one service. */
export class CrashPolicy {
  #crashes = 0;

  /**
   * Returns the delay before the next process, undefined if there shall be
   * none. **Units**: milliseconds.
   *
   * @param servedMs Time for which the process served; 0 if it did not begin.
   */
  delayAfterCrash(servedMs: number): number | undefined {
    if (servedMs >= STEADY_MS) this.#crashes = 0;
    return DELAYS_MS[this.#crashes++];
  }
}
