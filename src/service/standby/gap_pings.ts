/**
 * Watchdog pings of a keeper between two services, while no service can say that
 * the unit is alive.
 *
 * @module
 */

/** Pings within one interval of the watchdog. */
const PINGS = 3;
/** Longest time for which it speaks for a service that starts. **Units**: ms. */
const LIMIT_MS = 120_000;

/** Pings while no service is ready. **Ownership**: of a timer. */
export class GapPings implements Disposable {
  readonly #ping: () => void;
  readonly #intervalMs: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes one that does nothing without a watchdog.
   *
   * @param watchdogUs Interval in which the manager expects a ping.
   */
  constructor(watchdogUs: number | undefined, ping: () => void) {
    this.#ping = ping;
    this.#intervalMs = watchdogUs === undefined
      ? undefined
      : watchdogUs / 1000 / PINGS;
  }

  /** Pings from now on: at once, and for a while. */
  begin(): void {
    if (this.#intervalMs === undefined) return;
    this.end();
    this.#ping();
    const end = performance.now() + LIMIT_MS;
    this.#timer = setInterval(() => {
      if (performance.now() > end) this.end();
      else this.#ping();
    }, this.#intervalMs);
  }

  /** Ends them: a service is ready, and speaks for itself. */
  end(): void {
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
