/**
 * Edges as the API reports them.
 *
 * @module
 */
import type {
  Edge,
  EdgeCause,
  EdgeKind,
  LineLevel,
} from "../../client/edges.ts";
import {
  Cause,
  EdgeRule,
  type LineState,
  packEdge,
  stateAfter,
  stateBefore,
  StateBits,
  unpackCause,
  unpackRule,
} from "../../edges/record.ts";
import { MAX_TIME } from "../../edges/edge_ring.ts";
import type { RecordedLine } from "./edge_source.ts";

/** One edge of a record, with its line. */
export interface StoredEdge {
  readonly number: number;
  /** **Units**: nanoseconds, monotonic. */
  readonly time: number;
  readonly line: RecordedLine;
  /** See `edges/record.ts`. */
  readonly bits: number;
}

const CAUSES: Readonly<Record<number, EdgeCause>> = {
  [Cause.World]: "world",
  [Cause.Guest]: "guest",
  [Cause.Rule]: "rule",
  [Cause.Operator]: "operator",
  [Cause.Follow]: "follow",
};

const RULES: Readonly<Record<number, string>> = {
  [EdgeRule.Start]: "start",
  [EdgeRule.Interlock]: "interlock",
  [EdgeRule.SafeAfter]: "safe-after",
  [EdgeRule.OnDisconnect]: "on-disconnect",
};

/** False for a value that became known, or unknown, without an edge. */
export function isEdge({ bits }: StoredEdge): boolean {
  return CAUSES[unpackCause(bits)] !== undefined;
}

/** Returns what an edge changed. */
export function decodeKind(bits: number): EdgeKind {
  const changed = stateBefore(bits) ^ stateAfter(bits);
  if ((changed & StateBits.Present) !== 0) return "presence";
  return (changed & StateBits.Output) !== 0 ? "direction" : "value";
}

/** Returns the value of a state; undefined if it is not known. */
export function decodeValue(state: LineState): 0 | 1 | undefined {
  const value = state & StateBits.Value;
  const isPresent = (state & StateBits.Present) !== 0;
  return isPresent && (value === 0 || value === 1) ? value : undefined;
}

/** Returns a line in a state. */
export function decodeLevel(
  { aggregator, title, lineNumber }: RecordedLine,
  state: LineState,
): LineLevel {
  const value = decodeValue(state);
  return {
    aggregator,
    line: title,
    lineNumber,
    ...(value === undefined ? {} : { value }),
    direction: (state & StateBits.Output) !== 0 ? "output" : "input",
    present: (state & StateBits.Present) !== 0,
  };
}

/** Returns a monotonic time as nanoseconds since 1970. */
export function wallTime(time: number, offset: bigint): bigint {
  // Another process may say anything.
  if (!(Math.abs(time) <= MAX_TIME)) return 0n;
  const wall = BigInt(Math.round(time)) + offset;
  return wall > 0n ? wall : 0n;
}

/** Returns an edge as clients get it. */
export function decodeEdge(
  { number, time, line, bits }: StoredEdge,
  offset: bigint,
): Edge {
  const rule = RULES[unpackRule(bits)];
  return {
    number,
    time: String(wallTime(time, offset)),
    ...decodeLevel(line, stateAfter(bits)),
    kind: decodeKind(bits),
    cause: CAUSES[unpackCause(bits)] ?? "world",
    ...(rule === undefined ? {} : { rule }),
  };
}

/** Returns the cause of an edge in a word; the rule with it. */
export function causeText(bits: number): string {
  const cause = CAUSES[unpackCause(bits)] ?? "";
  const rule = RULES[unpackRule(bits)];
  return rule === undefined ? cause : `${cause} (${rule})`;
}

const CAUSES_OF_TEXTS = new Map(
  Object.values(Cause).flatMap((cause) =>
    Object.values(EdgeRule).map((rule) =>
      [causeText(packEdge(0, 0, cause, rule)), { cause, rule }] as const
    )
  ),
);

/** Returns the cause of {@linkcode causeText}; `world` for one of the future. */
export function causeOfText(text: string): { cause: Cause; rule: EdgeRule } {
  return CAUSES_OF_TEXTS.get(text) ??
    { cause: Cause.World, rule: EdgeRule.None };
}
