/**
 * Waits: for a time, for a condition, for a promise, with a limit.
 *
 * @module
 */

/** Never notified: waiting on it is sleeping. */
const never = new Int32Array(new SharedArrayBuffer(4));
/**
 * Longest delay of a timer, which fires at once if it is longer. **Units**: ms.
 */
const LONGEST_MS = 2 ** 31 - 1;
/** Interval of checks of a condition. **Units**: ms. */
const STEP_MS = 10;

/** Resolves after a time. **Units**: milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Sleeps without the event loop, for tools that do nothing else meanwhile.
 *
 * **Units**: microseconds. **Blocking**: the whole isolate; a signal without a
 * handler still ends the program.
 */
export function sleepBlocking(us: number): void {
  const end = performance.now() + us / 1000;
  for (let left = us / 1000; left > 0; left = end - performance.now()) {
    Atomics.wait(never, 0, 0, Math.min(left, LONGEST_MS));
  }
}

/**
 * Waits until `condition` holds, at most `limitMs` milliseconds.
 *
 * @returns True if it holds.
 */
export async function waitUntil(
  condition: () => boolean,
  limitMs: number,
): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() >= deadline) return false;
    await sleep(STEP_MS);
  }
  return true;
}

/** Returns true if `promise` resolves within `limitMs`. **Units**: ms. */
export async function settlesWithin(
  promise: Promise<unknown>,
  limitMs: number,
): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, limitMs));
  });
  try {
    return await Promise.race([promise.then(() => true), limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** No answer came in time. The service may or may not have done the request. */
export class TimeoutError extends Error {
  /** Distinguishes it from other errors, as the Web's own TimeoutError. */
  override readonly name = "TimeoutError";

  /** Makes the error of the service at `socketPath`. */
  constructor(socketPath: string, limitMs: number) {
    super(
      `No answer came from ${socketPath} within ${limitMs / 1000} s: ` +
        "its service is stopped or overloaded",
    );
  }
}

/**
 * Time limit for all steps of an answer together. It begins at construction.
 */
export class TimeLimit {
  readonly #socketPath: string;
  readonly #limitMs: number;
  readonly #endMs: number;
  readonly #signal: AbortSignal | undefined;

  /**
   * Makes a limit. **Units**: milliseconds; -1 and Infinity mean no limit.
   *
   * @param signal Ends every step when it is aborted.
   */
  constructor(socketPath: string, limitMs: number, signal?: AbortSignal) {
    this.#socketPath = socketPath;
    this.#limitMs = limitMs;
    this.#signal = signal;
    this.#endMs = limitMs === -1 ? Infinity : performance.now() + limitMs;
  }

  /**
   * Waits for a step; when the limit passes or the signal is aborted first,
   * `giveUp` is called.
   *
   * @throws {TimeoutError} When the limit passes first.
   * @throws {unknown} The signal's reason when it is aborted first.
   */
  async hold<T>(step: Promise<T>, giveUp: () => void): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(this.#error());
      giveUp();
    }, this.#timerMs());
    const signal = this.#signal;
    const abort = () => {
      reject(signal!.reason);
      giveUp();
    };
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([step, promise]);
    } catch (error) {
      // The step's own result is not used any more.
      step.catch(() => {});
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Sleeps. **Units**: milliseconds.
   *
   * @throws {TimeoutError} If the limit has passed already.
   */
  async sleep(ms: number): Promise<void> {
    this.#signal?.throwIfAborted();
    if (performance.now() >= this.#endMs) throw this.#error();
    await sleep(ms);
  }

  #timerMs(): number {
    const leftMs = this.#endMs - performance.now();
    return Math.min(Math.max(0, leftMs), LONGEST_MS);
  }

  #error(): TimeoutError {
    return new TimeoutError(this.#socketPath, this.#limitMs);
  }
}
