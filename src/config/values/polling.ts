/**
 * Values of `poll` and `poll-share`.
 *
 * @module
 */
import { PERIOD_PATTERN } from "../../text/period.ts";
import type { AggregatorSpecification } from "../specification.ts";
import { parsePeriodUs, type TextKind } from "./values.ts";

/** Longest time without a request for which rings are polled. **Units**: µs. */
const MAX_POLL_US = 10_000;
/** Part of a CPU that polling takes at most by default. **Units**: percent. */
export const DEFAULT_POLL_SHARE = 50;

/** A time for which rings are polled after a request; 0: they are not. In µs. */
export const POLL: TextKind<number> = {
  expected: "a period of at most 10ms, such as 50us, or 0",
  read: (text) => {
    const value = text === "0" ? 0 : parsePeriodUs(text);
    return value !== undefined && value <= MAX_POLL_US ? { value } : {
      problem: "is not a period of at most 10ms",
      hint: "Such as 50us; 0: never",
    };
  },
  schema: { type: ["string", "number"], pattern: PERIOD_PATTERN, minimum: 0 },
};

/** A part of a CPU; the value is in percent. */
export const POLL_SHARE: TextKind<number> = {
  expected: "a percentage from 1% to 100%",
  read: (text) => {
    const [, digits] = /^(\d{1,3})%$/.exec(text) ?? [];
    const value = Number(digits);
    return value >= 1 && value <= 100 ? { value } : {
      problem: "is not a percentage from 1% to 100%",
      hint: "Such as 50%",
    };
  },
  schema: { type: "string", pattern: "^(?!0*%)(\\d{1,2}|100)%$" },
};

/** Polling as a specification has it, of values that were given. */
export function toPolling(
  pollUs: number | undefined,
  pollShare: number | undefined,
): Pick<AggregatorSpecification, "pollUs" | "pollShare"> {
  return {
    ...(pollUs === undefined || pollUs === 0 ? {} : { pollUs }),
    ...(pollShare === undefined ? {} : { pollShare }),
  };
}
