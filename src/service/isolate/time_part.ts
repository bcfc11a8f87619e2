/**
 * The time that one of several peers takes.
 *
 * @module
 */

/**
 * Work that costs no rest, and the part of the time that a peer has beyond.
 * **Units** of the former: milliseconds.
 */
const BURST_MS = 100;
const PART = 0.1;

/** The time of one peer, of which it has a part only. */
export class TimePart {
  #workMs = 0;
  #since = 0;

  /** Counts work. **Units**: milliseconds, monotonic. */
  add(begin: number, end: number): void {
    const paid = (end - this.#since) * PART;
    this.#workMs = Math.max(0, this.#workMs - paid) + end - begin;
    this.#since = end;
  }

  /** Time for which the peer has to rest now. **Units**: milliseconds. */
  get restMs(): number {
    return Math.max(0, this.#workMs - BURST_MS) / PART;
  }
}
