/**
 * Seeded random choices, the same on every machine.
 *
 * @module
 */

/** A small generator (mulberry32): 2^32 states, good enough to pick tests. */
export class Random {
  #state: number;

  /** Begins a sequence; equal seeds give equal sequences. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 to 2^32 - 1. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A number from 0 to `limit - 1`. */
  below(limit: number): number {
    return this.uint32() % limit;
  }

  /** True in one of `n` cases. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Cuts `length` into 1 to `most` pieces, of which some may be empty. */
  cut(length: number, most: number): number[] {
    const pieces: number[] = [];
    let left = length;
    const count = 1 + this.below(most);
    for (let i = 1; i < count; i++) {
      const piece = this.below(left + 1);
      pieces.push(piece);
      left -= piece;
    }
    pieces.push(left);
    return pieces;
  }
}
