/**
 * Retries at growing intervals, by the deadlines of an event loop.
 *
 * @module
 */
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";

/** First interval of a retry. **Units**: milliseconds. */
const FIRST_RETRY_MS = 10;
/** Longest interval of a retry. **Units**: milliseconds. */
const LAST_RETRY_MS = 1000;

/** A retry that waits 10 ms at first, and twice as long each time up to 1 s. */
export class Backoff implements Disposable {
  readonly #loop: EventLoop;
  readonly #onDue: () => void;
  #timer: Timer | undefined;
  #delayMs = FIRST_RETRY_MS;

  /** Calls `onDue` in `loop` when a retry is due. */
  constructor(loop: EventLoop, onDue: () => void) {
    this.#loop = loop;
    this.#onDue = onDue;
  }

  /** True while a retry waits for its time. */
  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Sets the next retry, unless one is set. */
  retryLater(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#loop.after(this.#delayMs, () => {
      this.#timer = undefined;
      this.#onDue();
    });
    this.#delayMs = Math.min(2 * this.#delayMs, LAST_RETRY_MS);
  }

  /** Cancels the retry that is set; the interval stays as long as it is. */
  cancel(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  /** Cancels the retry that is set; the next one waits 10 ms again. */
  [Symbol.dispose](): void {
    this.cancel();
    this.#delayMs = FIRST_RETRY_MS;
  }
}
