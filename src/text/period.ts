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
 * **Units**: returns microseconds; undefined if it is not a period.
 */
export function readPeriodUs(text: string): number | undefined {
  if (!PERIOD_TEXT.test(text)) return undefined;
  const unit = /[a-z]*$/.exec(text)![0];
  const number = Number(text.slice(0, text.length - unit.length));
  return Math.round(number * UNITS_US[unit || "ms"]!);
}

/** Other ways in which people write units. */
const UNITS_MEANT: readonly (readonly [RegExp, string])[] = [
  [/^(?:\u00b5s|\u03bcs|usecs?|microseconds?)$/, "us"],
  [/^(?:msecs?|millis|milliseconds?)$/, "ms"],
  [/^(?:secs?|seconds?)$/, "s"],
  [/^(?:mins|minutes?)$/, "min"],
  [/^(?:hrs?|hours?)$/, "h"],
];
/** Longer texts are slips of nothing. */
const MAX_MEANT = 32;

/**
 * Returns the period that was probably meant by a text that is none: `5ms` for
 * `5 ms`, `5s` for `5 sec`; undefined if there is no likely one.
 */
export function periodMeant(text: string): string | undefined {
  if (text.length > MAX_MEANT) return undefined;
  const [, number = "", unit = ""] =
    /^\s*(\d+(?:[.,]\d+)?)\s*(\S*)\s*$/.exec(text.toLowerCase()) ?? [];
  const known = UNITS_MEANT.find(([form]) => form.test(unit))?.[1] ?? unit;
  const meant = number.replace(",", ".") + known;
  return meant !== text && readPeriodUs(meant) !== undefined
    ? meant
    : undefined;
}
