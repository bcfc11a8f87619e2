/**
 * Deadlines of the reactor, in the order they fall due.
 *
 * @module
 */
import type { Timer } from "./event_loop.ts";

/**
 * Time after which one call of {@linkcode Deadlines.run} begins no other.
 * **Units**: milliseconds.
 */
const RUN_MS = 0.2;
/** Deadlines that it serves at most, however quick they are. */
const PER_RUN = 64;

interface Entry {
  readonly dueMs: number;
  /** Position in the order of creation, which decides between equals. */
  readonly serial: number;
  readonly onElapsed: () => void;
  /** Index in the heap; -1 once it has run or was cancelled. */
  at: number;
}

/**
 * A binary heap of deadlines. A guest may set as many as it has lines (pulses,
 * debounces), so that setting and cancelling one costs O(log n).
 */
export class Deadlines {
  readonly #now: () => number;
  readonly #heap: Entry[] = [];
  #nextSerial = 0;

  /** Makes an empty list that reads time from `now` (monotonic milliseconds). */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Deadlines that are set. */
  get size(): number {
    return this.#heap.length;
  }

  /** The time. **Units**: milliseconds. */
  get now(): number {
    return this.#now();
  }

  /** Calls `onElapsed` from `run`, once, `ms` milliseconds from now. */
  after(ms: number, onElapsed: () => void): Timer {
    const entry: Entry = {
      dueMs: this.#now() + ms,
      serial: this.#nextSerial++,
      onElapsed,
      at: this.#heap.length,
    };
    this.#heap.push(entry);
    this.#rise(entry);
    return { [Symbol.dispose]: () => this.#remove(entry) };
  }

  /** **Units**: milliseconds until the first deadline, 0 if it is due, Infinity for none. */
  msToNext(): number {
    const first = this.#heap[0];
    return first === undefined
      ? Infinity
      : Math.max(0, first.dueMs - this.#now());
  }

  /**
   * Runs what is due, in parts if it is much: the rest is due at the next call.
   * Deadlines that a callback sets anew wait for the next call, too.
   *
   * Deadlines of all callers run in the order they fall due, so that what
   * makes a line safe waits only for those that were due before it. There are
   * as many as lines and peers at most (each sets its next one when the last has
   * run), and what they set anew is due later: a flood delays it by one round of
   * them, and cannot keep it waiting.
   */
  run(onError: (error: unknown) => void): void {
    const now = this.#now();
    const newest = this.#nextSerial;
    for (let i = 0; i < PER_RUN; i++) {
      const first = this.#heap[0];
      if (
        first === undefined || first.dueMs > now || first.serial >= newest
      ) return;
      this.#remove(first);
      try {
        first.onElapsed();
      } catch (error) {
        onError(error);
      }
      if (this.#now() - now >= RUN_MS) return;
    }
  }

  #remove(entry: Entry): void {
    if (entry.at < 0) return;
    const hole = entry.at;
    entry.at = -1;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#place(last, hole);
    this.#rise(last);
    this.#sink(last);
  }

  #place(entry: Entry, at: number): void {
    this.#heap[at] = entry;
    entry.at = at;
  }

  #rise(entry: Entry): void {
    while (entry.at > 0) {
      const parent = this.#heap[(entry.at - 1) >> 1]!;
      if (isBefore(parent, entry)) return;
      this.#swap(parent, entry);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.at + 1];
      const right = this.#heap[2 * entry.at + 2];
      if (left === undefined) return;
      const first = right !== undefined && isBefore(right, left) ? right : left;
      if (isBefore(entry, first)) return;
      this.#swap(entry, first);
    }
  }

  #swap(a: Entry, b: Entry): void {
    const at = a.at;
    this.#place(a, b.at);
    this.#place(b, at);
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.serial < b.serial);
}
