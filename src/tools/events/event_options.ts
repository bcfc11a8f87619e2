/**
 * Common options of `mon` and `notify`: the format of events, and the end.
 *
 * @module
 */
import { parseCount, parsePeriod } from "../program/numbers.ts";
import { secondsText, utcText } from "../../recording/time_text.ts";
import { localText } from "./timestamps.ts";
import { printable } from "../../text/printable.ts";

/** Format of timestamps. */
export type TimeStyle = "seconds" | "utc" | "local";

const TIME_TEXTS: Readonly<Record<TimeStyle, (ns: bigint) => string>> = {
  seconds: secondsText,
  utc: utcText,
  local: localText,
};

/** Returns the function that formats timestamps in a style. */
export function timeFormatter(style: TimeStyle): (ns: bigint) => string {
  return TIME_TEXTS[style];
}

/** `--format`. */
export const FORMAT_OPTION = {
  long: "format",
  short: "F",
  value: "fmt",
  help: ["print events in this format (see below)"],
} as const;

/** `--idle-timeout`. */
export const IDLE_TIMEOUT_OPTION = {
  long: "idle-timeout",
  value: "period",
  help: ["exit when there was no event for this long"],
  sets: "idleUs",
  read: parsePeriod,
} as const;

/** `--localtime`. */
export const LOCALTIME_OPTION = {
  long: "localtime",
  help: ["print timestamps as local time"],
  sets: "time",
  to: "local",
} as const;

/** `--num-events`. */
export const NUM_EVENTS_OPTION = {
  long: "num-events",
  short: "n",
  value: "num",
  help: ["exit after this many events"],
  sets: "events",
  read: parseCount,
} as const;

/** `--quiet`. */
export const QUIET_OPTION = {
  long: "quiet",
  short: "q",
  help: ["print no events"],
} as const;

/** `--silent`: the name of `--quiet` in libgpiod 1, which is still accepted. */
export const SILENT_OPTION = {
  long: "silent",
  help: [],
  hidden: true,
  sets: "quiet",
} as const;

/** `--utc`. */
export const UTC_OPTION = {
  long: "utc",
  help: ["print timestamps as UTC"],
  sets: "time",
  to: "utc",
} as const;

/** The beginning of the chapter on formats. */
export const COMMON_SPECIFIERS = `%o  the line's offset
%l  the line's name
%c  the chip's name
%S  the timestamp in seconds
%U  the timestamp as UTC
%L  the timestamp as local time
%%  a percent sign`;

/** "Monitoring lines 'a', 'b', and 'c'...", in libgpiod's words. */
export function bannerText(verb: string, ids: readonly string[]): string {
  const names = ids.map((id) => `'${printable(id)}'`);
  const last = names.pop() ?? "";
  return names.length === 0
    ? `${verb} line ${last}...\n`
    : `${verb} lines ${
      names.map((name) => `${name}, `).join("")
    }and ${last}...\n`;
}

/**
 * Decides when to stop: after a number of events, or a time without one. 0 is
 * no limit, for both.
 */
export class Limits {
  #left: number;
  readonly #idleMs: number;
  #deadline: number;

  /** **Units**: the idle time is in microseconds. */
  constructor(events = 0, idleUs = 0) {
    this.#left = events === 0 ? Infinity : events;
    this.#idleMs = idleUs === 0 ? Infinity : idleUs / 1000;
    this.#deadline = performance.now() + this.#idleMs;
  }

  /** Returns the number of events that remain. */
  get eventsLeft(): number {
    return this.#left;
  }

  /**
   * Returns the time to wait for the next one, in milliseconds; Infinity: for
   * ever.
   */
  get waitMs(): number {
    return Math.max(0, this.#deadline - performance.now());
  }

  /** Counts new events. */
  count(events: number): void {
    this.#left -= events;
    this.#deadline = performance.now() + this.#idleMs;
  }
}

/** Longest single wait; longer ones are made of several. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** Converts a wait to `poll`'s: -1 for ever, and at most its int. */
export function pollMs(ms: number): number {
  return ms === Infinity ? -1 : Math.min(Math.ceil(ms), LONGEST_WAIT_MS);
}
