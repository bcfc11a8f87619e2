/**
 * Waits of `set`, during which a signal may have to be handled.
 *
 * @module
 */
import { type HasEvents, waitForEvents, whenEvents } from "../../gpio/wait.ts";
import { sleepBlocking } from "../../async/wait.ts";

/** Waits of the tool. */
export interface Waits {
  /**
   * Waits for a number of microseconds; Infinity for ever.
   *
   * @throws {Ended} If a signal arrived that is to end the program.
   */
  wait(us: number): Promise<void>;
}

/** A signal arrived that ends the program. */
export class Ended extends Error {
  override readonly name = "Ended";
  /** The signal. */
  readonly signal: Deno.Signal;

  /** Takes the signal that arrived. */
  constructor(signal: Deno.Signal) {
    super(`Ended by ${signal}`);
    this.signal = signal;
  }
}

/** The chip of a held line was removed. */
export class ChipGone extends Error {
  override readonly name = "ChipGone";
}

/**
 * Waits with microsecond precision; signals have their default actions.
 *
 * @param held Requests: an unlimited wait ends when the chip of one is removed.
 */
export function plainWaits(held: readonly HasEvents[] = []): Waits {
  return {
    wait: (us) => {
      if (us !== Infinity || held.length === 0) sleepBlocking(us);
      // Outputs have no events: readiness means the removal.
      else if (waitForEvents(held).length > 0) throw new ChipGone();
      return Promise.resolve();
    },
  };
}

const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** Below this a timer is too coarse. */
const SHORT_US = 5000;
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Waits that a signal interrupts, so that work can be done before the end.
 *
 * **Ownership**: {@linkcode SignalWaits.exitBySignal} restores the signals.
 */
export class SignalWaits implements Waits {
  /** Requests: an unlimited wait ends when the chip of one is removed. */
  held: readonly HasEvents[] = [];
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
    // A signal may arrive while no wait runs.
    this.#ended.promise.catch(() => {});
    for (const { signal, handler } of this.#handlers) {
      Deno.addSignalListener(signal, handler);
    }
  }

  /** See {@linkcode Waits}. */
  async wait(us: number): Promise<void> {
    if (us < SHORT_US) {
      sleepBlocking(us);
      await this.#orEnd(0);
      return;
    }
    if (us === Infinity && this.held.length > 0) {
      const over = new AbortController();
      try {
        await this.during(whenEvents(this.held, { signal: over.signal }));
      } finally {
        over.abort();
      }
      throw new ChipGone();
    }
    const end = performance.now() + us / 1000;
    for (let left = us / 1000; left > 0; left = end - performance.now()) {
      await this.#orEnd(Math.min(left, LONGEST_MS));
    }
  }

  /** Waits for `work`, unless a signal arrives first. */
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

  /** Ends the program by the signal, so that its parent sees that status. */
  exitBySignal(signal: Deno.Signal): void {
    for (const each of this.#handlers) {
      Deno.removeSignalListener(each.signal, each.handler);
    }
    Deno.kill(Deno.pid, signal);
  }
}
