/**
 * Priority of the reactor's thread: before others while its work is short and it
 * waits in between, like theirs when it never waits.
 *
 * A guest waits for each of its requests, and the kernel would have the reactor
 * wait for its turn behind threads that only compute: for milliseconds, where the
 * work takes microseconds. A guest that keeps the reactor busy all the time gains
 * nothing by that: other guests' vCPUs need the processor too.
 *
 * @module
 */

/** Time without a wait after which the reactor is busy. **Units**: µs. */
const BUSY_US = 2000;

/** Decides on the priority; {@linkcode Urgency.turn} costs next to nothing. */
export class Urgency {
  readonly #clock: () => number;
  readonly #setRaised: (isRaised: boolean) => void;
  #isRaised = false;
  #isBusy = false;
  #busySince = 0;

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
    if (mayWait) {
      this.#isBusy = false;
      if (!this.#isRaised) this.#set(true);
    } else if (this.#isRaised) this.#look();
  }

  #look(): void {
    const now = this.#clock();
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#busySince = now;
      return;
    }
    const elapsed = (now - this.#busySince) | 0;
    if (elapsed >= BUSY_US || elapsed < 0) this.#set(false);
  }

  #set(isRaised: boolean): void {
    this.#isRaised = isRaised;
    this.#setRaised(isRaised);
  }
}
