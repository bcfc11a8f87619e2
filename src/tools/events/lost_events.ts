/**
 * Counts the events that the kernel dropped, by the gaps in a line's sequence
 * numbers.
 *
 * A line's own numbers are used and not those of the whole request: events of
 * one line arrive in order, those of several may overtake each other.
 *
 * @module
 */

/** Follows the sequence numbers of several lines. */
export class LostEvents {
  readonly #last: Float64Array;
  #total = 0;
  #unreported = 0;

  /** Follows `lines` lines, none of which has had an event. */
  constructor(lines: number) {
    this.#last = new Float64Array(lines);
  }

  /** All events lost so far. */
  get total(): number {
    return this.#total;
  }

  /**
   * True if there are lost events that {@linkcode takeReport} did not report.
   */
  get pending(): boolean {
    return this.#unreported > 0;
  }

  /**
   * Records an event of the `line`-th line.
   *
   * @param lineSeqno Its number on its line, from 1 on; 32 bits, which wrap.
   * @returns The number of events of that line that were lost right before it.
   */
  note(line: number, lineSeqno: number): number {
    const lost = (lineSeqno - this.#last[line]! - 1) >>> 0;
    this.#last[line] = lineSeqno;
    this.#total += lost;
    this.#unreported += lost;
    return lost;
  }

  /** Returns the number of events lost since the last call. */
  takeReport(): number {
    const count = this.#unreported;
    this.#unreported = 0;
    return count;
  }
}
