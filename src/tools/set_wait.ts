/**
 * Waiting in `set`, where a signal may have to be answered first.
 *
 * @module
 */
import { sleepUs } from "./sleep.ts";

/** Waits of the tool. */
export interface Waits {
  /**
   * Waits for so many microseconds; Infinity for ever.
   *
   * @throws {Ended} If a signal came that is to end the program.
   */
  wait(us: number): Promise<void>;
}

/** A signal came that ends the program. */
export class Ended extends Error {
  override readonly name = "Ended";
  /** The signal. */
  readonly signal: Deno.Signal;

  /** Takes the signal that came. */
  constructor(signal: Deno.Signal) {
    super(`Ended by ${signal}`);
    this.signal = signal;
  }
}

/** Waits to the microsecond, during which signals do what they always do. */
export const plainWaits: Waits = {
  wait: (us) => {
    sleepUs(us);
    return Promise.resolve();
  },
};

const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** Below this a timer is too coarse. */
const SHORT_US = 5000;
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Waits that a signal cuts short, so that something can be done before the end.
 *
 * **Ownership**: {@linkcode SignalWaits.dieOf} gives the signals back.
 */
export class SignalWaits implements Waits {
  readonly #ended = Promise.withResolvers<never>();
  #signal: Deno.Signal | undefined;
  readonly #handlers = ENDING.map((signal) => ({
    signal,
    handler: () => {
      this.#signal ??= signal;
      this.#ended.reject(new Ended(this.#signal));
    },
  }));

  /** Takes the signals over. */
  constructor() {
    // It may come while nothing waits.
    this.#ended.promise.catch(() => {});
    for (const { signal, handler } of this.#handlers) {
      Deno.addSignalListener(signal, handler);
    }
  }

  /** See {@linkcode Waits}. */
  async wait(us: number): Promise<void> {
    if (us < SHORT_US) {
      sleepUs(us);
      await this.#orEnd(0);
      return;
    }
    const end = performance.now() + us / 1000;
    for (let left = us / 1000; left > 0; left = end - performance.now()) {
      await this.#orEnd(Math.min(left, LONGEST_MS));
    }
  }

  /** Waits for `work`, unless a signal comes first. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    return await Promise.race([work, this.#ended.promise]);
  }

  async #orEnd(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    try {
      await this.during(promise);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the program by the signal, so that its parent sees just that. */
  dieOf(signal: Deno.Signal): void {
    for (const each of this.#handlers) {
      Deno.removeSignalListener(each.signal, each.handler);
    }
    Deno.kill(Deno.pid, signal);
  }
}
