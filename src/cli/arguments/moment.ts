/**
 * Times of the past as users of commands write them.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { readTime } from "../../recording/time_text.ts";
import { readPeriodUs } from "../../text/period.ts";

const NS_PER_US = 1000n;
const NS_PER_MS = 1_000_000n;
/** A date, a time or both, without a zone. */
const LOCAL =
  /^(?:(\d{4})-(\d\d)-(\d\d))?(?:(?:^|[T ])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?$/;
/** The same with a zone. */
const ZONED =
  /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/**
 * Reads a time: a date with or without a time, or a time of today, as the clocks
 * here show them unless there is a zone; seconds since 1970; `-10m` for ten
 * minutes ago.
 *
 * **Units**: nanoseconds since 1970.
 *
 * @param option Option that it is the value of, for the message.
 * @throws {ConfigError} If it is not a valid time.
 */
export function readMoment(
  text: string,
  option: string,
  nowNs: bigint,
): bigint {
  if (text.startsWith("-")) return nowNs - readPast(text.slice(1), option);
  const ns = readDate(text, nowNs);
  if (ns !== undefined) return ns;
  throw new ConfigError(`"${text}" is not a valid time`, {
    path: option,
    hint:
      `Write 15:00, 2026-11-29T15:00, 2026-11-29T15:00:00Z, or ${option}=-10m`,
  });
}

/**
 * Reads a time, also `10m` for ten minutes ago. **Units**: nanoseconds since
 * 1970.
 *
 * @throws {ConfigError} If it is not a valid time.
 */
export function readSince(text: string, option: string, nowNs: bigint): bigint {
  const isPeriod = readPeriodUs(text) !== undefined;
  if (isPeriod) return nowNs - readPast(text, option);
  if (text.startsWith("-")) return readMoment(text, option, nowNs);
  const ns = readDate(text, nowNs);
  if (ns !== undefined) return ns;
  throw new ConfigError(`"${text}" is not a valid time`, {
    path: option,
    hint: "Write 10s, 10m, 2h, 15:00 or 2026-11-29T15:00",
  });
}

/**
 * Reads a period. **Units**: nanoseconds.
 *
 * @throws {ConfigError} If it is not a valid one.
 */
export function readPast(text: string, option: string): bigint {
  const us = readPeriodUs(text);
  if (us === undefined || !Number.isSafeInteger(us)) {
    throw new ConfigError(`"${text}" is not a valid time`, {
      path: option,
      hint: "Write 500ms, 10s, 10m or 2h",
    });
  }
  return BigInt(us) * NS_PER_US;
}

function readDate(text: string, nowNs: bigint): bigint | undefined {
  const zoned = ZONED.exec(text);
  if (zoned !== null) {
    const [, date, minute, rest = ":00", zone] = zoned;
    return readTime(`${date}T${minute}${rest}${zone}`);
  }
  const local = LOCAL.exec(text);
  if (local === null || text === "") return readTime(text);
  const [year, month, day, hour = 0, minute = 0, second = 0] = local.slice(1, 7)
    .map((part) => part === undefined ? undefined : Number(part));
  const now = new Date(Number(nowNs / NS_PER_MS));
  const date = new Date(
    year ?? now.getFullYear(),
    month === undefined ? now.getMonth() : month - 1,
    day ?? now.getDate(),
    hour,
    minute,
    second,
  );
  // The 31st of February would be the 3rd of March; 25:00 is tomorrow.
  const isSame = (day === undefined || date.getDate() === day) &&
    (month === undefined || date.getMonth() === month - 1) &&
    hour < 24 && minute < 60 && second < 60;
  if (!isSame) return undefined;
  const fraction = BigInt((local[7] ?? "").padEnd(9, "0"));
  return BigInt(date.getTime()) * NS_PER_MS + fraction;
}
