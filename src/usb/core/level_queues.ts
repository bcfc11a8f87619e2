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

  /** Returns the levels of all lines, each as text. */
  save(): string[] {
    return Array.from(this.#counts, (count, line) => {
      // Most lines have none, and this is done for each request.
      if (count === 0) return "";
      const at = line * this.#capacity;
      return Array.from(
        { length: count },
        (_, i) => this.#levels[at + (this.#heads[line]! + i) % this.#capacity],
      ).join("");
    });
  }

  /**
   * Adds levels that were saved.
   *
   * @throws {RangeError} If they are of other lines, or no levels.
   */
  restore(saved: readonly unknown[]): void {
    if (saved.length !== this.#counts.length) {
      throw new RangeError("levels of other lines were kept");
    }
    for (const [line, levels] of saved.entries()) {
      const isFit = typeof levels === "string" && /^[01]*$/.test(levels) &&
        levels.length <= this.#capacity;
      if (!isFit) throw new RangeError("levels that are none were kept");
      for (const level of levels) this.push(line, Number(level));
    }
  }

  /** Forgets the levels of a line. */
  clear(line: number): void {
    this.#counts[line] = 0;
  }
}
