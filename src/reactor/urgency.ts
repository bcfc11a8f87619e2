/**
 * Priority of the reactor's thread: before others while its work is short and it
 * waits in between, like theirs while it works for long without a wait.
 *
 * A guest waits for each of its requests, and the kernel would have the reactor
 * wait for its turn behind threads that only compute: for milliseconds, where the
 * work takes microseconds. A guest that keeps the reactor busy gains nothing by
 * that: other guests' vCPUs need the processor too. A spell of work that is rare,
 * such as a description of many lines, changes nothing, or a client that asks
 * for it ten times a second would take the priority from the guests.
 *
 * @module
 */

/** Time without a wait after which the reactor is busy. **Units**: µs. */
const BUSY_US = 2000;

/** Time of busy spells that leaves it its priority. **Units**: µs. */
const BURST_US = 10_000;

/** Shift of their repayment: a sixteenth of the time that passes. */
const REPAYMENT_SHIFT = 4;

/** Time after that for which it has no priority, waits or not. **Units**: µs. */
const CALM_US = 100_000;

/** Decides on the priority; {@linkcode Urgency.turn} costs next to nothing. */
export class Urgency {
  readonly #clock: () => number;
  readonly #setRaised: (isRaised: boolean) => void;
  #isRaised = false;
  #isBusy = false;
  #busySince = 0;
  /** Time of busy spells that is not repaid, as of the last one's end. */
  #spentUs = 0;
  #spentAt = 0;
  /** It was busy, at the time of {@linkcode Urgency.#busySince} or later. */
  #wasBusy = false;

  /**
   * Begins with the priority as it is.
   *
   * @param clock Returns microseconds modulo 2^32, as an i32.
   * @param setRaised Raises the thread's priority, and takes that back.
   */
  constructor(clock: () => number, setRaised: (isRaised: boolean) => void) {
    this.#clock = clock;
    this.#setRaised = setRaised;
  }

  /** Takes note of a turn; `mayWait` if it has nothing to do now. */
  turn(mayWait: boolean): void {
    if (!mayWait) this.#look();
    else {
      this.#isBusy = false;
      if (!this.#isRaised) this.#calm();
    }
  }

  /** It has work: for how long without a wait? */
  #look(): void {
    const now = this.#clock();
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#busySince = now;
      return;
    }
    const elapsed = elapsedUs(this.#busySince, now);
    if (elapsed < BUSY_US) return;
    this.#busySince = now;
    const repaid = elapsedUs(this.#spentAt, now) >>> REPAYMENT_SHIFT;
    this.#spentUs = Math.max(0, this.#spentUs - repaid) + elapsed;
    this.#spentAt = now;
    if (this.#spentUs <= BURST_US) return;
    this.#spentUs = BURST_US;
    this.#wasBusy = true;
    if (this.#isRaised) this.#set(false);
  }

  /** It waits: is it long enough since it was busy? */
  #calm(): void {
    if (
      this.#wasBusy && elapsedUs(this.#busySince, this.#clock()) < CALM_US
    ) return;
    this.#wasBusy = false;
    this.#set(true);
  }

  #set(isRaised: boolean): void {
    this.#isRaised = isRaised;
    this.#setRaised(isRaised);
  }
}

/** Time between two readings; the longest possible for a negative one. */
function elapsedUs(from: number, to: number): number {
  return (to - from) >>> 0;
}
