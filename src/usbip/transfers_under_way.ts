/**
 * Transfers of one connection that are not answered yet, by their number.
 *
 * @module
 */

/** Transfers at most: the kernel's drivers keep some ten. */
export const SLOTS = 256;
/** No slot. */
export const NO_SLOT = -1;

/** The transfers. Each is in a slot, which keeps its number until it is freed. */
export class TransfersUnderWay {
  readonly seqnums = new Uint32Array(SLOTS);
  /** Bytes that the kernel's buffer takes, or that it sent. */
  readonly lengths = new Uint32Array(SLOTS);
  /** 1: to the host. */
  readonly isIn = new Uint8Array(SLOTS);
  readonly #isTaken = new Uint8Array(SLOTS);
  #count = 0;

  /** Number of them. */
  get count(): number {
    return this.#count;
  }

  /** Takes a slot. @returns Its number; -1 if all are taken. */
  take(seqnum: number, isIn: boolean, length: number): number {
    const slot = this.#isTaken.indexOf(0);
    if (slot === NO_SLOT) return NO_SLOT;
    this.#isTaken[slot] = 1;
    this.seqnums[slot] = seqnum;
    this.isIn[slot] = isIn ? 1 : 0;
    this.lengths[slot] = length;
    this.#count++;
    return slot;
  }

  /** Returns true if the slot has a transfer. */
  has(slot: number): boolean {
    return this.#isTaken[slot] === 1;
  }

  /** Returns the slot of a transfer; -1 if there is none of this number. */
  find(seqnum: number): number {
    if (this.#count === 0) return NO_SLOT;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#isTaken[slot] === 1 && this.seqnums[slot] === seqnum) {
        return slot;
      }
    }
    return NO_SLOT;
  }

  /** Gives a slot back. */
  free(slot: number): void {
    if (this.#isTaken[slot] !== 1) return;
    this.#isTaken[slot] = 0;
    this.#count--;
  }
}
