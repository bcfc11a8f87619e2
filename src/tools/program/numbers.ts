/**
 * Numbers and periods in the notation of the tools' users.
 *
 * Leading blanks and a plus sign are accepted, as libgpiod's tools do. An empty
 * string is not: there it is 0, so that an unset variable in `gpioset -c 0
 * "$LINE=1"` drives line 0.
 *
 * @module
 */
import { readPeriodUs } from "../../text/period.ts";
import { ToolError } from "./tool_error.ts";

const DIGITS = /^\s*\+?(\d+)$/;
const INT_MAX = 2 ** 31 - 1;

/**
 * Parses a plain decimal number up to 2147483647; undefined if `text` is not
 * one.
 */
export function parseNumber(text: string): number | undefined {
  const digits = DIGITS.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const number = Number(digits);
  return number <= INT_MAX ? number : undefined;
}

/**
 * Parses a number of events.
 *
 * @throws {ToolError} If `text` is not one.
 */
export function parseCount(text: string): number {
  const count = parseNumber(text);
  if (count === undefined) throw new ToolError(`invalid number: '${text}'`);
  return count;
}

/**
 * Parses a period such as `10`, `10ms`, `2s`, `1m` or `250us`, and those that
 * libgpiod's tools do not know and a SPEC does (`0.5s`, `1h`); undefined if
 * `text` is not one.
 *
 * **Units**: milliseconds if `text` has no unit; the result is microseconds.
 */
export function periodUs(text: string): number | undefined {
  const us = readPeriodUs(text.replace(/^\s*\+?/, ""));
  // Largest value of the kernel's and libgpiod's 64-bit counters.
  return us !== undefined && us < 2 ** 63 ? us : undefined;
}

/**
 * Parses the period of an option.
 *
 * @throws {ToolError} If `text` is not a period.
 */
export function parsePeriod(text: string): number {
  const us = periodUs(text);
  if (us === undefined) throw new ToolError(`invalid period: ${text}`);
  return us;
}

/**
 * Formats a period in the largest unit that shows it exactly: `10ms`, `1500us`.
 */
export function formatPeriod(us: number): string {
  if (us % 1_000_000 === 0) return `${us / 1_000_000}s`;
  return us % 1000 === 0 ? `${us / 1000}ms` : `${us}us`;
}
