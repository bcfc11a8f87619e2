/**
 * Statistics that a busy machine does not spoil: quantiles, and medians of
 * values that were taken in turns.
 *
 * @module
 */

/**
 * The value below which the share `q` of the values lies.
 *
 * @param sorted Ascending; not empty.
 */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = Math.min(sorted.length - 1, Math.floor(q * sorted.length));
  const value = sorted[at];
  if (value === undefined) throw new RangeError("No values to take one of");
  return value;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? quantile(sorted, 0.5)
    : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Quantiles of one round. **Units**: those of the values. */
export interface Round {
  /** The middle. */
  readonly p50: number;
  /** One in a hundred is slower. */
  readonly p99: number;
  /** The slowest. */
  readonly max: number;
  /** The mean. */
  readonly mean: number;
}

/** Sorts `times` in place and takes its quantiles. */
export function summarize(times: Float64Array): Round {
  times.sort();
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    max: quantile(times, 1),
    mean: times.reduce((sum, time) => sum + time, 0) / times.length,
  };
}

/**
 * Returns how much slower one thing is than another that was measured in turns
 * with it: the median of the rounds' ratios, so that what disturbed one round
 * disturbed both of its halves.
 */
export function medianRatio(
  values: readonly number[],
  floors: readonly number[],
): number {
  return median(values.map((value, round) => value / floors[round]!));
}

/** Value of a measure beside its floor, as a table has them. */
interface BesideFloor {
  readonly value: number;
  readonly unit: string;
  readonly floor: number;
  readonly ratio: number;
}

/**
 * Returns what rounds took, and a floor that was measured in turns with them.
 *
 * @param unit That of the values. Default: microseconds.
 */
export function besideFloor(
  values: readonly number[],
  floors: readonly number[],
  unit = "µs",
): BesideFloor {
  return {
    value: median(values),
    unit,
    floor: median(floors),
    ratio: medianRatio(values, floors),
  };
}
