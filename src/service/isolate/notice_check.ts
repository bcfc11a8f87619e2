/**
 * Checks of what a process reports by itself. It may be one that its guest has
 * taken over, and must not fill the log or reach other aggregators' records.
 *
 * @module
 */
import {
  enumeration,
  integer,
  list,
  object,
  optional,
  text,
} from "../../client/message_schema.ts";
import { LINE_CHANGE } from "../../client/messages.ts";
import { SERVED_EVENTS } from "../../client/protocol.ts";
import type { RecordedLines } from "../messages/messages.ts";
import type { Notice } from "./aggregator_child.ts";
import { checkMessage } from "./answer_check.ts";

const EVENT = object({
  aggregator: text(),
  event: enumeration(SERVED_EVENTS),
  detail: text(),
  force: optional(text()),
});
const CHANGES = object({ aggregator: text(), lines: list(LINE_CHANGE) });
const UNRECORDED = object({ firstId: integer(), count: integer() });

/** Texts for the log that pass at once: one for each kept fd, and more. */
const MAX_TEXTS = 4096;
/** Texts a second that pass for ever; the process limits its events to one. */
const TEXTS_PER_S = 5;
/** Longest text. **Units**: UTF-16 code units. */
const MAX_TEXT = 8192;
/** Lines of one report, more than an aggregator can have, and their names. */
const MAX_LINES = 65_536;
const MAX_NAME = 256;

/** Notices of one aggregator's processes, one after the other. */
export class NoticeCheck {
  readonly #now: () => number;
  #texts = MAX_TEXTS;
  #lastMs: number;

  /** @param now Monotonic milliseconds; tests bring their own clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#lastMs = now();
  }

  /**
   * Checks the next notice.
   *
   * @throws {Error} If no process of gpioagg's reports such, or so often.
   */
  check(notice: Notice): void {
    switch (notice.kind) {
      case "problem":
        return this.#count(notice.text);
      case "event":
        checkMessage(EVENT, notice.event, "An event");
        return this.#count(notice.event.detail);
      case "changes":
        return checkMessage(CHANGES, notice.changes, "A report of changes");
      case "recorded":
        return checkLines(notice.lines);
      case "unrecorded":
        return checkMessage(UNRECORDED, notice, "A report of lines");
      case "removed-late":
        return checkMessage(text(), notice.name, "A report of a removal");
      default:
        throw new TypeError("A report is of no known kind");
    }
  }

  #count(text: unknown): void {
    if (typeof text !== "string" || text.length > MAX_TEXT) {
      throw new TypeError("A report has no text, or too long a one");
    }
    const now = this.#now();
    const more = (now - this.#lastMs) / 1000 * TEXTS_PER_S;
    this.#texts = Math.min(MAX_TEXTS, this.#texts + more);
    this.#lastMs = now;
    if (this.#texts < 1) throw new RangeError("Too many reports");
    this.#texts--;
  }
}

function checkLines(
  { firstLine, firstId, names, states, time }: RecordedLines,
): void {
  const isSound =
    [firstLine, firstId].every((number) =>
      Number.isSafeInteger(number) && number >= 0
    ) && Number.isFinite(time) &&
    Array.isArray(names) && names.length <= MAX_LINES &&
    names.every((name) =>
      typeof name === "string" && name.length <= MAX_NAME
    ) &&
    Array.isArray(states) && states.length === names.length &&
    states.every((state) => Number.isSafeInteger(state));
  if (!isSound) throw new TypeError("A report of recorded lines is not valid");
}
