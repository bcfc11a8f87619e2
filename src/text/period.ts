/**
 * Periods as people write them, in every command, SPEC and file.
 *
 * @module
 */

const UNITS_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1000,
  s: 1_000_000,
  m: 60_000_000,
  min: 60_000_000,
  h: 3_600_000_000,
};

/** Regular expression of a period, for a JSON Schema too. */
export const PERIOD_PATTERN = "^\\d+(\\.\\d+)?(us|ms|s|m|min|h)?$";

const PERIOD_TEXT = new RegExp(PERIOD_PATTERN);

/**
 * Reads a period such as `5ms`, `250us`, `0.5s`, `1m`; without a unit,
 * milliseconds. Fractions are rounded to whole microseconds.
 *
 * **Units**: returns microseconds; undefined if it is no period.
 */
export function readPeriodUs(text: string): number | undefined {
  if (!PERIOD_TEXT.test(text)) return undefined;
  const unit = /[a-z]*$/.exec(text)![0];
  const number = Number(text.slice(0, text.length - unit.length));
  return Math.round(number * UNITS_US[unit || "ms"]!);
}
