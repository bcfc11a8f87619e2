/**
 * Levels of lines that a guest has yet to be shown, in their order.
 *
 * @module
 */

/** Queues of levels, one for each line. */
export class LevelQueues {
  readonly #levels: Uint8Array;
  readonly #heads: Uint8Array;
  readonly #counts: Uint8Array;
  readonly #capacity: number;

  /**
   * Makes empty queues.
   *
   * @param capacity Levels that are kept for each line, at most 255.
   */
  constructor(lines: number, capacity: number) {
    this.#capacity = capacity;
    this.#levels = new Uint8Array(lines * capacity);
    this.#heads = new Uint8Array(lines);
    this.#counts = new Uint8Array(lines);
  }

  /** Number of levels that a line has. */
  count(line: number): number {
    return this.#counts[line]!;
  }

  /** The oldest level of a line that has one. */
  first(line: number): number {
    return this.#levels[line * this.#capacity + this.#heads[line]!]!;
  }

  /** Takes the oldest level of a line that has one. */
  shift(line: number): number {
    const level = this.first(line);
    this.#heads[line] = (this.#heads[line]! + 1) % this.#capacity;
    this.#counts[line] = this.#counts[line]! - 1;
    return level;
  }

  /**
   * Adds a level. A queue that is full loses the last one instead of taking
   * another: where levels alternate, what remains still does, and ends with
   * the level that the line has.
   *
   * @returns Number of levels that were lost.
   */
  push(line: number, level: number): number {
    const count = this.#counts[line]!;
    if (count === this.#capacity) {
      this.#counts[line] = count - 1;
      return 2;
    }
    this
      .#levels[
        line * this.#capacity + (this.#heads[line]! + count) % this.#capacity
      ] = level;
    this.#counts[line] = count + 1;
    return 0;
  }

  /** Forgets the levels of a line. */
  clear(line: number): void {
    this.#counts[line] = 0;
  }
}
