/**
 * Event timestamps as text.
 *
 * @module
 */
import { clockNs, localTime } from "../../../ffi/clock.ts";

const NS_PER_S = 1_000_000_000n;

/** Formats a timestamp as seconds and nanoseconds: `10002.907638045`. */
export function secondsText(ns: bigint): string {
  return `${ns / NS_PER_S}.${fraction(ns)}`;
}

/**
 * Formats a timestamp as date and time, UTC: `2022-11-15T03:05:23.807090687Z`.
 */
export function utcText(ns: bigint): string {
  // "YYYY-MM-DDTHH:MM:SS" of the ISO form, before its milliseconds.
  return `${dateOf(ns).toISOString().slice(0, -5)}.${fraction(ns)}Z`;
}

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

function dateOf(ns: bigint): Date {
  return new Date(Number(ns / NS_PER_S) * 1000);
}

function fraction(ns: bigint): string {
  return (ns % NS_PER_S).toString().padStart(9, "0");
}

function twoDigits(number: number): string {
  return number.toString().padStart(2, "0");
}
