/**
 * Event timestamps as text.
 *
 * @module
 */
import { clockNs, localTime } from "../../../ffi/clock.ts";
import { fraction } from "../../recording/time_text.ts";

const NS_PER_S = 1_000_000_000n;

/**
 * Formats a timestamp as date and time in the local zone, without a suffix.
 * `TZ` sets the zone, in all forms that the C library accepts.
 */
export function localText(ns: bigint): string {
  const { year, month, day, hour, minute, second } = localTime(ns / NS_PER_S);
  const date = [year, month, day].map(twoDigits).join("-");
  const time = [hour, minute, second].map(twoDigits).join(":");
  return `${date}T${time}.${fraction(ns)}`;
}

/**
 * Converts a time of the monotonic clock to the wall clock, with the present
 * difference of the two. **Units**: nanoseconds.
 */
export function wallClock(monotonicNs: bigint): bigint {
  return monotonicNs + clockNs("realtime") - clockNs("monotonic");
}

function twoDigits(number: number): string {
  return number.toString().padStart(2, "0");
}
