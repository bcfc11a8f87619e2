/**
 * Budget of time of all clients of a control socket.
 *
 * @module
 */
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";

/**
 * Work for clients with more than a slice of it that costs them no rest, and the
 * part of the time that they have beyond: requests without end would otherwise
 * keep a CPU busy that guests wait for. **Units** of the former: milliseconds.
 */
const WORK_BURST_MS = 10;
const WORK_PART = 0.05;
/**
 * Longest work that is counted at a time. A slice is far shorter: the rest of a
 * longer one is a stop of the process, or a machine that is busy with others.
 * **Units**: milliseconds.
 */
const MOST_AT_ONCE_MS = 1;

/** A client that can rest. */
interface Client {
  /** Is served again. */
  goOn(): void;
}

/** Budget of the clients of one socket, and those that rest for it. */
export class ClientBudget implements Disposable {
  readonly #loop: EventLoop;
  #workMs = 0;
  #since = 0;
  #rest: Timer | undefined;
  readonly #resting = new Set<Client>();
  readonly #now: () => number;

  /** Lets them rest in `loop`; `now` returns monotonic milliseconds. */
  constructor(loop: EventLoop, now: () => number) {
    this.#loop = loop;
    this.#now = now;
  }

  /** Now. **Units**: monotonic milliseconds. */
  get now(): number {
    return this.#now();
  }

  /** Those that rest are not served again. */
  [Symbol.dispose](): void {
    this.#rest?.[Symbol.dispose]();
  }

  /** Counts the time since `begin` as work. */
  add(begin: number): void {
    const now = this.#now();
    const paid = (now - this.#since) * WORK_PART;
    const work = Math.min(now - begin, MOST_AT_ONCE_MS);
    this.#workMs = Math.max(0, this.#workMs - paid) + work;
    this.#since = now;
  }

  /** Lets a client rest if there was too much work; false if it need not. */
  delay(connection: Client): boolean {
    const excessMs = this.#workMs - WORK_BURST_MS;
    if (excessMs <= 0) return false;
    this.#resting.add(connection);
    this.#rest ??= this.#loop.after(excessMs / WORK_PART, () => {
      this.#rest = undefined;
      const rested = [...this.#resting];
      this.#resting.clear();
      for (const one of rested) one.goOn();
    });
    return true;
  }

  /** Forgets a client that is closed. */
  forget(connection: Client): void {
    this.#resting.delete(connection);
  }
}
