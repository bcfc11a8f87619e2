/**
 * What goes over the control socket beside a vhost-user socket: one JSON
 * object a line, each request answered by one line.
 *
 * @module
 */
import type { AggregatorDescription } from "./messages.ts";

/** A request: changes to make (none: just look), by line name or number. */
export interface ControlRequest {
  /** Levels to pull simulated lines to, in this order. */
  pull?: [line: string, level: 0 | 1][];
}

/** The answer: the aggregator after the changes, or what was wrong. */
export type ControlAnswer =
  | { aggregator: AggregatorDescription }
  | { error: string };

/** Longest request that is read. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/**
 * Reads one request.
 *
 * @throws {SyntaxError} If it is no request; the message says what it lacks.
 */
export function parseControlRequest(text: string): ControlRequest {
  const request: unknown = JSON.parse(text);
  if (typeof request !== "object" || request === null) {
    throw new SyntaxError("a request is a JSON object");
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
    throw new SyntaxError(`"pull" is a list of [LINE, 0 or 1]`);
  }
  return { pull };
}
