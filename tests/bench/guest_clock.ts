/**
 * A guest's clock by that of the host: as exact as a ping-pong between them is
 * short.
 *
 * @module
 */

/** A guest's time that was read between two of the host's. **Units**: ns. */
export interface Reading {
  /** The host's time before. */
  readonly before: number;
  /** The guest's time. */
  readonly guest: number;
  /** The host's time after. */
  readonly after: number;
}

/** Both clocks at one moment. **Units**: nanoseconds. */
export interface Moment {
  /** The guest's time. */
  readonly guest: number;
  /** The host's time, exact to half of the width. */
  readonly host: number;
  /** Time between the host's two readings. */
  readonly width: number;
}

/**
 * Returns the moment that is known best.
 *
 * @throws {RangeError} without readings.
 */
export function narrowest(readings: readonly Reading[]): Moment {
  let best: Reading | undefined;
  for (const reading of readings) {
    const { before, after } = best ?? { before: 0, after: Infinity };
    if (reading.after - reading.before < after - before) best = reading;
  }
  if (best === undefined) throw new RangeError("No readings of the clock");
  const { before, guest, after } = best;
  return { guest, host: before + (after - before) / 2, width: after - before };
}

/** A guest's clock between two moments, where it goes at one speed. */
export class GuestClock {
  readonly #first: Moment;
  readonly #slope: number;
  /** Error of a converted time, at most. **Units**: nanoseconds. */
  readonly uncertainty: number;

  /**
   * @param between Moments in between, which show how even it goes: how far they
   * are off is added to the uncertainty.
   * @throws {RangeError} if a clock stood still.
   */
  constructor(first: Moment, last: Moment, between: readonly Moment[] = []) {
    const host = last.host - first.host;
    const guest = last.guest - first.guest;
    if (host <= 0 || guest <= 0) throw new RangeError("A clock stood still");
    this.#first = first;
    this.#slope = host / guest;
    const off = between.map((each) =>
      Math.abs(this.hostTime(each.guest) - each.host)
    );
    const widths = [first, last, ...between].map(({ width }) => width);
    this.uncertainty = Math.max(...widths) / 2 + Math.max(0, ...off);
  }

  /** The host's time when the guest's clock showed this. **Units**: ns. */
  hostTime(guest: number): number {
    const { host, guest: start } = this.#first;
    return host + (guest - start) * this.#slope;
  }
}
