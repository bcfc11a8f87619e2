/**
 * How long a service may take for an answer.
 *
 * @module
 */

/** Nobody answered in time: whether the service did it is not known. */
export class TimeoutError extends Error {
  /** Tells it from other errors, as the Web's own is told from others. */
  override readonly name = "TimeoutError";

  /** Makes the error of the service at `socketPath`. */
  constructor(socketPath: string, limitMs: number) {
    super(
      `Nobody answered at ${socketPath} within ${limitMs / 1000} s: ` +
        "its service is stopped, or has too much to do",
    );
  }
}

/** One limit for all steps of an answer. It begins when it is made. */
export class TimeLimit {
  readonly #socketPath: string;
  readonly #limitMs: number;
  readonly #endMs: number;

  /** Makes a limit. **Units**: milliseconds. */
  constructor(socketPath: string, limitMs: number) {
    this.#socketPath = socketPath;
    this.#limitMs = limitMs;
    this.#endMs = performance.now() + limitMs;
  }

  /**
   * Waits for a step; when the limit passes first, `giveUp` is called.
   *
   * @throws {TimeoutError} When the limit passes first.
   */
  async hold<T>(step: Promise<T>, giveUp: () => void): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(this.#error());
      giveUp();
    }, Math.max(0, this.#endMs - performance.now()));
    try {
      return await Promise.race([step, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Lets a while pass.
   *
   * @throws {TimeoutError} If the limit has passed already.
   */
  async wait(ms: number): Promise<void> {
    if (performance.now() >= this.#endMs) throw this.#error();
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  #error(): TimeoutError {
    return new TimeoutError(this.#socketPath, this.#limitMs);
  }
}
