/**
 * Checks of what a process answers and reports. It may be one that its guest has
 * taken over: an answer that is not valid must not become a failure of those who
 * ask for all aggregators.
 *
 * @module
 */
import {
  type AnySchema,
  flag,
  integer,
  list,
  number,
  object,
  optional,
  text,
} from "../../client/message_schema.ts";
import { DESCRIPTION, PENDING_LINES, PLAY } from "../../client/messages.ts";
import type { AggregatorCounts } from "../messages/messages.ts";
import type { CallName } from "./messages.ts";

/** Most kinds of events that are counted, and the longest name of one. */
const MAX_KINDS = 32;
const MAX_KIND = 32;

const numbers: AnySchema = {
  json: {},
  check: (value) => value instanceof Float64Array,
  read: (value) => value,
};
/** Counts by name. */
const tally: AnySchema = {
  json: {},
  check: (value) =>
    typeof value === "object" && value !== null &&
    Object.keys(value).length <= MAX_KINDS &&
    Object.entries(value).every(([kind, count]) =>
      kind.length <= MAX_KIND && typeof count === "number"
    ),
  read: (value) => value,
};

const LINE_COUNTS = object({
  name: text(),
  value: optional(integer()),
  isOutput: flag(),
  isPresent: flag(),
  edges: optional(list(number())),
  activeSeconds: optional(number()),
  refusals: number(),
  isForced: optional(flag()),
  isRulePending: flag(),
  ruleFailures: number(),
  lostEdges: number(),
  mergedEdges: number(),
});

const EXPOSURE_COUNTS = object({
  requests: numbers,
  durations: optional(object({ buckets: numbers, sums: numbers })),
  device: optional(
    object({ unattributed: numbers, events: numbers, refusedChains: numbers }),
  ),
  pins: optional(object({
    resets: number(),
    reports: number(),
    levels: numbers,
    lostLevels: numbers,
    lostRequests: numbers,
  })),
  usb: optional(
    object({ invalid: number(), overflows: number(), lostEdges: numbers }),
  ),
});

const COUNTS = list(object({
  name: text(),
  connected: flag(),
  servedSince: number(),
  uptimeMs: optional(number()),
  guests: optional(object({
    connections: number(),
    respawns: number(),
    faults: number(),
    eventsLeftOut: tally,
    lines: list(LINE_COUNTS),
    exposure: EXPOSURE_COUNTS,
  })),
}));

const DESCRIPTIONS = list(DESCRIPTION);

/** Answers by command; those to others are not used. */
const ANSWERS: Readonly<Partial<Record<CallName, AnySchema>>> = {
  add: DESCRIPTIONS,
  removeWhole: DESCRIPTIONS,
  remove: DESCRIPTION,
  pending: PENDING_LINES,
  changeRules: DESCRIPTIONS,
  describe: DESCRIPTIONS,
  pull: DESCRIPTION,
  play: PLAY,
  force: DESCRIPTION,
  count: COUNTS,
};

const ERROR = object({
  message: text(),
  hint: text(),
  isConfig: flag(),
  isTransient: flag(),
  unsafe: optional(object({
    aggregator: optional(text()),
    lines: list(object({
      aggregator: text(),
      lineNumber: integer(),
      line: text(),
      reason: text(),
      isRetried: flag(),
    })),
  })),
  held: optional(object({ removed: DESCRIPTIONS, lines: list(text()) })),
});

/**
 * Checks the result of a command.
 *
 * @param lines Lines that the process has.
 * @throws {TypeError} If no process of gpioagg's answers so.
 */
export function checkAnswer(
  name: CallName,
  result: unknown,
  lines: number,
): void {
  const schema = ANSWERS[name];
  if (schema === undefined) return;
  checkMessage(schema, result, `The answer to ${name}`);
  const isSound = name === "count"
    ? (result as AggregatorCounts[]).every((one) => isSoundCount(one, lines))
    : [result].flat().every((one) =>
      !(one instanceof Object && "lines" in one) ||
      (one.lines as unknown[]).length <= lines
    );
  if (!isSound) throw new TypeError(`The answer to ${name} is not valid`);
}

/**
 * Checks the error of a command.
 *
 * @throws {TypeError} If no process of gpioagg's answers so.
 */
export function checkError(error: unknown): void {
  checkMessage(ERROR, error, "An error");
}

/**
 * Checks a message.
 *
 * @throws {TypeError} If it does not have the schema.
 */
export function checkMessage(
  schema: AnySchema,
  value: unknown,
  what: string,
): void {
  let problem = "";
  const isValid = schema.check(value, "", (finding) => {
    problem ||= `: ${finding.path} ${finding.problem}`;
  });
  if (!isValid) throw new TypeError(`${what} is not valid${problem}`);
}

/** Metrics have a sample for each line. */
function isSoundCount({ guests }: AggregatorCounts, lines: number): boolean {
  if (guests === undefined) return true;
  const { durations, device } = guests.exposure;
  const count = guests.lines.length;
  return count <= lines &&
    (durations === undefined || durations.sums.length >= count) &&
    (device === undefined || device.refusedChains.length >= 2);
}
