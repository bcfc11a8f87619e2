/**
 * How long the turns of a device's request queue take: from the moment it is
 * looked at to the moment its answers are published.
 *
 * @module
 */
import type { TurnCounts } from "./messages.ts";

/** Upper bounds of the buckets. **Units**: seconds. */
export const TURN_BOUNDS: readonly number[] = [
  1e-6,
  2e-6,
  5e-6,
  1e-5,
  2e-5,
  5e-5,
  1e-4,
  2e-4,
  5e-4,
  1e-3,
  1e-2,
  1e-1,
];

/** A histogram that is added to without allocation. */
export class TurnTimes {
  readonly #buckets = new Float64Array(TURN_BOUNDS.length + 1);
  #sum = 0;

  /** Adds one turn. **Units**: milliseconds. */
  add(ms: number): void {
    const seconds = ms / 1000;
    let i = 0;
    while (i < TURN_BOUNDS.length && seconds > TURN_BOUNDS[i]!) i++;
    this.#buckets[i] = this.#buckets[i]! + 1;
    this.#sum += seconds;
  }

  /** All turns so far. */
  get counts(): TurnCounts {
    return { buckets: this.#buckets.slice(), sum: this.#sum };
  }
}
