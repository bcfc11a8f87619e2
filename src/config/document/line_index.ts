/**
 * Offsets in a text as lines and columns.
 *
 * @module
 */

/** Turns offsets of one text into lines and columns. */
export class LineIndex {
  readonly #starts = [0];

  /** Indexes `text`. */
  constructor(text: string) {
    for (const { index, 0: end } of text.matchAll(/\r\n|\r|\n/g)) {
      this.#starts.push(index + end.length);
    }
  }

  /** The line and column of `offset`; both count from 1. */
  at(offset: number): { line: number; column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - this.#starts[low]! + 1 };
  }
}
