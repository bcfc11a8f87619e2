/**
 * Times of edges as text, and back.
 *
 * @module
 */

const NS_PER_S = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;

const SECONDS = /^(\d{1,12})(?:\.(\d{1,9}))?$/;
const DATE_AND_TIME =
  /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)?$/;
const ZONE = /([+-])(\d\d):(\d\d)$/;

/** Formats a timestamp as seconds and nanoseconds: `10002.907638045`. */
export function secondsText(ns: bigint): string {
  return `${ns / NS_PER_S}.${fraction(ns)}`;
}

/**
 * Formats a timestamp as date and time, UTC: `2022-11-15T03:05:23.807090687Z`.
 */
export function utcText(ns: bigint): string {
  const second = ns / NS_PER_S;
  if (second !== lastSecond) {
    // "YYYY-MM-DDTHH:MM:SS" of the ISO form, before its milliseconds.
    lastText = new Date(Number(second) * 1000).toISOString().slice(0, -5);
    lastSecond = second;
  }
  return `${lastText}.${fraction(ns)}Z`;
}

// Most edges are in the same second as the one before.
let lastSecond: bigint | undefined;
let lastText = "";

/** Returns the nanoseconds of a timestamp below its second, nine digits. */
export function fraction(ns: bigint): string {
  return (ns % NS_PER_S).toString().padStart(9, "0");
}

/**
 * Reads a time as {@linkcode secondsText} and {@linkcode utcText} write it; one
 * without a zone counts as UTC.
 *
 * **Units**: returns nanoseconds; undefined if it is not a valid time.
 */
export function readTime(text: string): bigint | undefined {
  const seconds = SECONDS.exec(text);
  if (seconds !== null) {
    const [, whole, part = ""] = seconds;
    return BigInt(whole!) * NS_PER_S + BigInt(part.padEnd(9, "0"));
  }
  const match = DATE_AND_TIME.exec(text);
  if (match === null) return undefined;
  const [, date, time, part = ""] = match;
  const whole = `${date}T${time}Z`;
  if (whole !== lastRead) {
    const ms = Date.parse(whole);
    // The 31st of February would be the 3rd of March.
    const isSame = !Number.isNaN(ms) &&
      new Date(ms).toISOString().startsWith(whole.slice(0, -1));
    if (!isSame) return undefined;
    lastReadNs = BigInt(ms) * NS_PER_MS;
    lastRead = whole;
  }
  return lastReadNs + BigInt(part.padEnd(9, "0")) - zoneNs(text);
}

let lastRead: string | undefined;
let lastReadNs = 0n;

function zoneNs(text: string): bigint {
  if (text.endsWith("Z")) return 0n;
  const match = ZONE.exec(text);
  if (match === null) return 0n;
  const [, sign, hours, minutes] = match;
  const ns = BigInt(Number(hours) * 60 + Number(minutes)) * 60n * NS_PER_S;
  return sign === "-" ? -ns : ns;
}
