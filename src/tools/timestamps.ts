/**
 * Event timestamps as text.
 *
 * @module
 */

const NS_PER_S = 1_000_000_000n;

/** A timestamp as seconds and nanoseconds: `10002.907638045`. */
export function secondsText(ns: bigint): string {
  return `${ns / NS_PER_S}.${fraction(ns)}`;
}

/** A timestamp as date and time, UTC: `2022-11-15T03:05:23.807090687Z`. */
export function utcText(ns: bigint): string {
  // "YYYY-MM-DDTHH:MM:SS" of the ISO form, before its milliseconds.
  return `${dateOf(ns).toISOString().slice(0, -5)}.${fraction(ns)}Z`;
}

/** A timestamp as date and time in the local zone, without a suffix. */
export function localText(ns: bigint): string {
  const date = dateOf(ns);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${day.map(twoDigits).join("-")}T${time.map(twoDigits).join(":")}.${
    fraction(ns)
  }`;
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
