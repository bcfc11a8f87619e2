/**
 * Lines of a file of edges as it is read, and its entries as edges of a record.
 *
 * @module
 */
import {
  Cause,
  EdgeRule,
  type LineState,
  lineState,
  packEdge,
  StateBits,
} from "../../edges/record.ts";
import type { EdgeEntry } from "../../recording/edge_lines.ts";
import type { RecordedLine } from "./edge_source.ts";
import { absentState } from "./history.ts";
import { causeOfText, type StoredEdge } from "./stored_edge.ts";

/** A line of a file. */
export interface FileLine {
  readonly line: RecordedLine;
  /** State after what was read of it. */
  state: LineState;
}

/** Returns the state of an entry; what it does not have is as `before`. */
export function packState(
  { value, direction, present, mark }: EdgeEntry,
  before: LineState | undefined,
): LineState {
  const isOutput = direction === undefined
    ? ((before ?? 0) & StateBits.Output) !== 0
    : direction === "output";
  const isPresent = mark !== "ends" && (present ??
    (before === undefined || value !== undefined ||
      (before & StateBits.Present) !== 0));
  return lineState(value ?? -1, isOutput, isPresent);
}

/** Returns an entry with a cause as an edge of a line. */
export function edgeOfEntry(
  entry: EdgeEntry,
  { line, state }: FileLine,
  time: number,
  number: number,
): StoredEdge {
  const after = packState(entry, state);
  const { cause, rule } = causeOfText(entry.cause);
  const before = entry.present !== undefined
    ? after ^ StateBits.Present
    : entry.direction !== undefined
    ? after ^ StateBits.Output
    : entry.value !== undefined
    ? after ^ 1
    : state;
  return { number, time, line, bits: packEdge(before, after, cause, rule) };
}

/** Returns the begin of a line, or a state without an edge. */
export function seenEdge(
  line: RecordedLine,
  before: LineState,
  after: LineState,
  time: number,
): StoredEdge {
  const bits = packEdge(before, after, Cause.Seen, EdgeRule.None);
  return { number: 0, time, line, bits };
}

/** Returns the end of a line. */
export function endEdge({ line, state }: FileLine, time: number): StoredEdge {
  return seenEdge(line, state, absentState(state), time);
}
