/**
 * Events for `for await`.
 *
 * @module
 */
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";

/**
 * Where a stream's events come from.
 *
 * @typeParam T The events.
 */
export interface EventSource<T> {
  /** The fd that is readable when there is one; nonblocking. */
  readonly fd: number;
  /** The next event, undefined if there is none now; throws when none can come. */
  read(): T | undefined;
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
 * loop is left, and the kernel's buffer holds those that come meanwhile.
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
 *   await using events = request.edgeEvents();
 *   const timer = setTimeout(() => events.end(), ms);
 *   const { value } = await events.next();
 *   clearTimeout(timer);
 *   return value;
 * }
 * ```
 */
export class EventStream<T>
  implements AsyncIterableIterator<T, undefined, void>, AsyncDisposable {
  readonly #source: EventSource<T>;
  readonly #onEnd: (stream: EventStream<T>) => void;
  readonly #waits = new Set<ReadinessWait>();
  #ended = false;

  /** Reads from `source`; `onEnd` is called once. */
  constructor(
    source: EventSource<T>,
    onEnd: (stream: EventStream<T>) => void,
  ) {
    this.#source = source;
    this.#onEnd = onEnd;
  }

  /** The next event; waits for one. Done once the stream has ended. */
  async next(): Promise<IteratorResult<T, undefined>> {
    while (!this.#ended) {
      try {
        const value = this.#source.read();
        if (value !== undefined) return { done: false, value };
        await this.#readable();
      } catch (error) {
        this.end();
        throw error;
      }
    }
    return DONE;
  }

  async #readable(): Promise<void> {
    const wait = whenReadable(this.#source.fd);
    this.#waits.add(wait);
    await wait.ready;
    this.#waits.delete(wait);
  }

  /** Ends the stream; who waits for an event is told that there will be none. */
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
