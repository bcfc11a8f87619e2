/**
 * The events of a service as a stream that its reader can end at any time.
 *
 * @module
 */
import type { ApiEvent } from "./protocol.ts";

const DONE: IteratorReturnResult<void> = Object.freeze({
  done: true,
  value: undefined,
});

/**
 * Events of a service as they come, for `for await`.
 *
 * Ends with the service, when the loop is left, with
 * {@linkcode ServiceEvents.return} even while an event is awaited, and by an error
 * when its signal is aborted.
 */
export class ServiceEvents implements AsyncGenerator<ApiEvent, void, void> {
  readonly #events: AsyncGenerator<ApiEvent, void>;
  readonly #abort: AbortController;
  readonly #signal: AbortSignal | undefined;
  readonly #ended = Promise.withResolvers<
    IteratorResult<ApiEvent, void>
  >();
  readonly #onAbort = () => this.#fail();
  #isEnded = false;

  /**
   * Reads from what `open` returns, which ends when the signal given to it is
   * aborted.
   *
   * @param signal Ends the stream with its reason.
   */
  constructor(
    open: (signal: AbortSignal) => AsyncGenerator<ApiEvent, void>,
    signal?: AbortSignal,
  ) {
    this.#abort = new AbortController();
    this.#signal = signal;
    // Only waiting calls are rejected.
    this.#ended.promise.catch(() => {});
    this.#events = open(this.#abort.signal);
    if (signal?.aborted) this.#fail();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * The next event; waits for one. Done once the stream has ended.
   *
   * @throws {unknown} As a rejection, the reason of the signal if it is aborted.
   */
  async next(): Promise<IteratorResult<ApiEvent, void>> {
    if (this.#isEnded) return await this.#ended.promise;
    const step = this.#events.next();
    try {
      const result = await Promise.race([step, this.#ended.promise]);
      if (!result.done) return result;
    } catch (error) {
      step.catch(() => {});
      this.#end();
      throw error;
    }
    this.#end();
    this.#ended.resolve(DONE);
    return DONE;
  }

  /** Ends the stream and closes its connection; a pending wait gets no event. */
  return(): Promise<IteratorResult<ApiEvent, void>> {
    this.#end();
    this.#ended.resolve(DONE);
    return Promise.resolve(DONE);
  }

  /** Ends the stream; the promise rejects with `error`. */
  throw(error: unknown): Promise<IteratorResult<ApiEvent, void>> {
    this.#end();
    this.#ended.resolve(DONE);
    return Promise.reject(error);
  }

  #fail(): void {
    this.#ended.reject(this.#signal!.reason);
    this.#end();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#abort.abort();
    // A generator that waits goes on to its end once its connection is closed.
    this.#events.return().catch(() => {});
  }

  /** The stream itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as {@linkcode ServiceEvents.return}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
