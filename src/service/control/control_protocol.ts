/**
 * Messages of the control socket beside a vhost-user socket: one JSON object a
 * line, one line of answer for each request.
 *
 * @module
 */
import {
  type Describes,
  either,
  list,
  object,
  optional,
  text as anyText,
} from "../../client/message_schema.ts";
import { DESCRIPTION } from "../../client/messages.ts";
import type { AggregatorDescription } from "../messages/messages.ts";

/** A request: changes to make (none: only describe), by line name or number. */
export interface ControlRequest {
  /** Levels to pull simulated lines to, in this order. */
  pull?: [line: string, level: 0 | 1][];
}

/** The answer: the aggregator after the changes, or the error. */
export type ControlAnswer =
  | {
    aggregator: AggregatorDescription;
    /** Pulled lines that the guest drives: the pull has no effect yet. */
    driven?: string[];
  }
  | { error: string };

const ANSWERED = object({
  aggregator: DESCRIPTION,
  driven: optional(list(anyText())),
});
const REFUSED = object({ error: anyText() });
const ANSWER = either([ANSWERED, REFUSED]) satisfies Describes<ControlAnswer>;

/**
 * Longest accepted request: some 1000 changes. A request is parsed in one
 * piece, during which no guest is served.
 */
export const MAX_REQUEST_BYTES = 16 * 1024;

/**
 * Reads one request.
 *
 * @throws {SyntaxError} If it is not a valid request; the message names the
 * defect.
 */
export function parseControlRequest(text: string): ControlRequest {
  const request: unknown = JSON.parse(text);
  if (typeof request !== "object" || request === null) {
    throw new SyntaxError("a request must be a JSON object");
  }
  const { pull, ...rest } = request as Record<string, unknown>;
  const [unknownKey] = Object.keys(rest);
  if (unknownKey !== undefined) {
    throw new SyntaxError(`unknown key "${unknownKey}"`);
  }
  if (pull === undefined) return {};
  const isChange = (change: unknown): change is [string, 0 | 1] =>
    Array.isArray(change) && change.length === 2 &&
    typeof change[0] === "string" && (change[1] === 0 || change[1] === 1);
  if (!Array.isArray(pull) || !pull.every(isChange)) {
    throw new SyntaxError(`"pull" must be a list of [LINE, 0 or 1]`);
  }
  return { pull };
}

/**
 * Reads one answer.
 *
 * @throws {SyntaxError} If it is none; the message names the first defect.
 */
export function parseControlAnswer(text: string): ControlAnswer {
  const answer = parsed(text);
  if (ANSWER.check(answer, "", () => {})) return answer as ControlAnswer;
  if (typeof answer === "object" && answer !== null && "aggregator" in answer) {
    ANSWERED.check(answer, "", ({ path, problem }) => {
      throw new SyntaxError(`${path} ${problem}`);
    });
  }
  throw new SyntaxError("it does not send one of its messages");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
