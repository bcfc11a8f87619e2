/**
 * Events for `for await`.
 *
 * @module
 */
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";
import { requireKeys, requireSignal } from "../text/arguments.ts";

/**
 * Source of a stream's events.
 *
 * @typeParam T The events.
 */
export interface EventSource<T> {
  /** The fd that is readable when there is one; nonblocking. */
  readonly fd: number;
  /** The next event, undefined if there is none now; throws when none can come. */
  read(): T | undefined;
}

/** Options of a stream of events. */
export interface StreamOptions {
  /** Ends the stream when it is aborted: the wait rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns the signal of a stream's options.
 *
 * @throws {TypeError} For an unknown option, or no signal.
 */
export function readSignal(options: StreamOptions): AbortSignal | undefined {
  requireKeys("the options", options, ["signal"]);
  requireSignal("signal", options.signal);
  return options.signal;
}

/**
 * Time after which a stream with events that are there already gives timers,
 * signals and other input their turn. **Units**: ms.
 */
const TURN_MS = 5;

/** Lets the event loop turn once. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

const DONE: IteratorReturnResult<undefined> = Object.freeze({
  done: true,
  value: undefined,
});

/**
 * Events as they come. Waits without stopping the program or taking a thread
 * per stream; ends when what it reads from is disposed, or with `break`.
 *
 * An event is read from the kernel when it is asked for, so none is lost when a
 * loop is left, and the kernel's buffer holds those that come meanwhile. Timers
 * run also while events come without a pause.
 *
 * @typeParam T The events.
 *
 * @example The first edge, or nothing when the time is over
 * ```ts
 * import type { EdgeEvent, LineRequest } from "@gpioagg/gpioagg";
 *
 * async function firstEdge(
 *   request: LineRequest,
 *   ms: number,
 * ): Promise<EdgeEvent | undefined> {
 *   const signal = AbortSignal.timeout(ms);
 *   await using events = request.edgeEvents({ signal });
 *   try {
 *     return (await events.next()).value;
 *   } catch (error) {
 *     if (error === signal.reason) return undefined;
 *     throw error;
 *   }
 * }
 * ```
 */
export class EventStream<T>
  implements AsyncIterableIterator<T, undefined, void>, AsyncDisposable {
  readonly #source: EventSource<T>;
  readonly #onEnd: (stream: EventStream<T>) => void;
  readonly #waits = new Set<ReadinessWait>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.end();
  #ended = false;
  /** When the event loop is to turn. **Units**: ms of `performance.now`. */
  #turnAt = -Infinity;

  /** Reads from `source` until `signal` is aborted; `onEnd` is called once. */
  constructor(
    source: EventSource<T>,
    onEnd: (stream: EventStream<T>) => void,
    signal?: AbortSignal,
  ) {
    this.#source = source;
    this.#onEnd = onEnd;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * The next event; waits for one. Done once the stream has ended.
   *
   * @throws {unknown} As a rejection, the reason of the signal if it is aborted.
   */
  async next(): Promise<IteratorResult<T, undefined>> {
    this.#checkSignal();
    while (!this.#ended) {
      try {
        if (performance.now() >= this.#turnAt) await this.#turn();
        if (this.#ended) break;
        const value = this.#source.read();
        if (value !== undefined) return { done: false, value };
        await this.#readable();
      } catch (error) {
        this.end();
        throw error;
      }
    }
    this.#checkSignal();
    return DONE;
  }

  #checkSignal(): void {
    if (this.#signal?.aborted) {
      this.end();
      throw this.#signal.reason;
    }
  }

  async #turn(): Promise<void> {
    // The first event is read at once.
    if (this.#turnAt !== -Infinity) await nextTurn();
    this.#turnAt = performance.now() + TURN_MS;
  }

  async #readable(): Promise<void> {
    const wait = whenReadable(this.#source.fd);
    this.#waits.add(wait);
    await wait.ready;
    this.#waits.delete(wait);
    // The wait was a turn.
    this.#turnAt = performance.now() + TURN_MS;
  }

  /** Ends the stream; a pending wait ends without an event. */
  async return(): Promise<IteratorResult<T, undefined>> {
    const waits = [...this.#waits];
    this.end();
    // Then nothing of the stream is left when this is done.
    await Promise.all(waits.map((wait) => wait.ready));
    return DONE;
  }

  /** Ends the stream; what it read from may be closed right after. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const wait of this.#waits) wait.cancel();
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#onEnd(this);
  }

  /** The stream itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@linkcode EventStream.return}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
