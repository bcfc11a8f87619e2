/**
 * When a service that crashed is followed by the next process, and when no more.
 *
 * @module
 */

/** Crashes that count: within a time, and delays by their number. **Units**: ms. */
interface Limit {
  readonly windowMs: number;
  readonly delaysMs: readonly number[];
}

/** Crashes before the next process was ready: it had no time to start one. */
const QUICK: Limit = { windowMs: 30_000, delaysMs: [0, 100, 200, 400, 800] };

/** Crashes of all kinds: 25 are followed at once, as by an operator's kill. */
const ALL: Limit = {
  windowMs: 600_000,
  delaysMs: [...Array(25).fill(0), 1000, 2000, 4000, 8000, 16_000],
};

/** Counts crashes of one service. */
export class CrashPolicy {
  readonly #all = new CrashCount(ALL);
  readonly #quick = new CrashCount(QUICK);

  /**
   * Returns the delay before the next process, undefined if there shall be
   * none. **Units**: milliseconds.
   *
   * @param nowMs Time of the crash, monotonic.
   * @param isNextReady True if the next process could serve at once.
   */
  delayAfterCrash(nowMs: number, isNextReady: boolean): number | undefined {
    const delayMs = this.#all.add(nowMs);
    if (isNextReady || delayMs === undefined) return delayMs;
    const quickMs = this.#quick.add(nowMs);
    return quickMs === undefined ? undefined : Math.max(delayMs, quickMs);
  }
}

/** Crashes of one kind. */
class CrashCount {
  readonly #limit: Limit;
  /** Times of the crashes that count. **Units**: ms. */
  #crashes: number[] = [];

  constructor(limit: Limit) {
    this.#limit = limit;
  }

  /** Counts a crash, and returns the delay after it; undefined if it is too much. */
  add(nowMs: number): number | undefined {
    const { windowMs, delaysMs } = this.#limit;
    this.#crashes = this.#crashes.filter((at) => nowMs - at < windowMs);
    return delaysMs[this.#crashes.push(nowMs) - 1];
  }
}
