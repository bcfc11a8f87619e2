/**
 * Deadlines of the reactor, in the order they fall due.
 *
 * @module
 */
import type { Timer } from "./event_loop.ts";

interface Entry {
  readonly dueMs: number;
  readonly onElapsed: () => void;
  live: boolean;
}

/**
 * A sorted list of deadlines. There are few at a time (debounces, watchdogs,
 * reconnects), so insertion into a sorted array beats a heap.
 */
export class Deadlines {
  readonly #now: () => number;
  readonly #entries: Entry[] = [];

  /** Makes an empty list that reads time from `now` (monotonic milliseconds). */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Deadlines that are set. */
  get size(): number {
    return this.#entries.length;
  }

  /** Calls `onElapsed` from `run`, once, `ms` milliseconds from now. */
  after(ms: number, onElapsed: () => void): Timer {
    const entry = { dueMs: this.#now() + ms, onElapsed, live: true };
    const entries = this.#entries;
    let at = entries.length;
    while (at > 0 && entries[at - 1]!.dueMs > entry.dueMs) at--;
    entries.splice(at, 0, entry);
    return {
      [Symbol.dispose]: () => {
        if (!entry.live) return;
        entry.live = false;
        const at = entries.indexOf(entry);
        // Absent while `run` works through the batch that it belongs to.
        if (at >= 0) entries.splice(at, 1);
      },
    };
  }

  /** **Units**: milliseconds until the first deadline, 0 if it is due, Infinity for none. */
  msToNext(): number {
    const first = this.#entries[0];
    return first === undefined
      ? Infinity
      : Math.max(0, first.dueMs - this.#now());
  }

  /** Runs what is due. What a callback sets anew waits for the next call. */
  run(onError: (error: unknown) => void): void {
    const now = this.#now();
    const entries = this.#entries;
    let due = 0;
    while (due < entries.length && entries[due]!.dueMs <= now) due++;
    if (due === 0) return;
    for (const entry of entries.splice(0, due)) {
      // A callback of this batch may have cancelled a later one.
      if (!entry.live) continue;
      entry.live = false;
      try {
        entry.onElapsed();
      } catch (error) {
        onError(error);
      }
    }
  }
}
