/**
 * The clock of a play.
 *
 * @module
 */
import { clockNs, wallOffsetNs } from "../../../ffi/clock.ts";

/** Clocks of the kernel; tests bring their own. **Units**: nanoseconds. */
interface KernelClocks {
  /** Monotonic time. */
  readonly nowNs: () => bigint;
  /** Time since 1970 minus monotonic time. */
  readonly wallOffsetNs: () => bigint;
}

/** A smaller step of the wall clock is its usual correction. */
const STEP_NS = 1_000_000n;

/**
 * Time since 1970 by the wall clock as it was set at the beginning. A wall clock
 * that is set during a play neither stops it nor hurries it.
 */
export class PlayClock {
  readonly #clocks: KernelClocks;
  readonly #offset: bigint;

  /** Takes the wall clock as it is set now. */
  constructor(
    clocks: KernelClocks = { nowNs: () => clockNs("monotonic"), wallOffsetNs },
  ) {
    this.#clocks = clocks;
    this.#offset = clocks.wallOffsetNs();
  }

  /** Present time. **Units**: nanoseconds since 1970. */
  get nowNs(): bigint {
    return this.#clocks.nowNs() + this.#offset;
  }

  /**
   * Returns the time by which the wall clock was set forward since the beginning.
   * **Units**: nanoseconds, negative if it was set back.
   */
  stepNs(): bigint {
    const step = this.#clocks.wallOffsetNs() - this.#offset;
    return step > STEP_NS || step < -STEP_NS ? step : 0n;
  }
}
