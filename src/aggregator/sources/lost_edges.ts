/**
 * Counts the edges that the kernel had to drop, its buffer being full, by the
 * gaps that they leave in a line's sequence numbers.
 *
 * @module
 */
import type { EdgeEventBatch } from "../../gpio/mod.ts";

/** Follows one line, from request to request. */
export class LostEdges {
  #total = 0;
  /** The last number of the request; undefined: not known. */
  #last: number | undefined;

  /** Edges lost so far. */
  get total(): number {
    return this.#total;
  }

  /**
   * Another request is read from now on.
   *
   * @param isKept Whether an earlier process has read from it, it is not known
   * how far.
   */
  begin(isKept: boolean): void {
    this.#last = isKept ? undefined : 0;
  }

  /** Takes note of the edges that were read, in order. */
  note(events: EdgeEventBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const seqno = events.lineSeqnoAt(i);
      // 32 bits, which wrap.
      if (this.#last !== undefined) {
        this.#total += (seqno - this.#last - 1) >>> 0;
      }
      this.#last = seqno;
    }
  }
}
