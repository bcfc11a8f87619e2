/**
 * Entries of a file of edges: JSON lines as `gpioagg record --jsonl` writes
 * them, with what the history needs besides.
 *
 * @module
 */
import { type LineState, stateAfter, StateBits } from "../../edges/record.ts";
import type { FileClock } from "../../recording/edge_lines.ts";
import { utcText } from "../../recording/time_text.ts";
import { printableJson } from "../../text/printable.ts";
import type { RecordedLine } from "./edge_source.ts";
import {
  causeText,
  decodeKind,
  decodeValue,
  isEdge,
  type StoredEdge,
} from "./stored_edge.ts";

/** Version of the format. */
export const FORMAT_VERSION = 2;

/** Kind of a state in a file. */
export type StateKind = "begins" | "ends" | "value";

/** Returns the entry of a state of a line, without an edge. */
export function stateText(
  { aggregator, title, lineNumber }: RecordedLine,
  state: LineState,
  timeNs: bigint,
  kind: StateKind,
): string {
  const isPresent = (state & StateBits.Present) !== 0;
  return line({
    time: utcText(timeNs),
    aggregator,
    line: title,
    value: kind === "ends" ? null : decodeValue(state) ?? null,
    lineNumber,
    direction: toDirection(state),
    ...(isPresent ? {} : { present: false }),
    ...(kind === "value" ? {} : { [kind]: true }),
  });
}

/** Returns the entry of an edge. */
export function edgeText(edge: StoredEdge, timeNs: bigint): string {
  const { number, line: { aggregator, title }, bits } = edge;
  const after = stateAfter(bits);
  const kind = decodeKind(bits);
  const isPresent = (after & StateBits.Present) !== 0;
  return line({
    time: utcText(timeNs),
    aggregator,
    line: title,
    value: decodeValue(after) ?? null,
    ...(isEdge(edge) ? { cause: causeText(bits), number } : {}),
    ...(kind === "value" ? {} : { direction: toDirection(after) }),
    ...(kind === "presence" ? { present: isPresent } : {}),
  });
}

/** Returns the entry before all states: at the begin of a file, and within. */
export function recordText(
  run: string,
  { boot, setting }: FileClock,
  timeNs: bigint,
): string {
  return line({
    event: "record",
    version: FORMAT_VERSION,
    run,
    boot,
    clock: String(setting),
    at: utcText(timeNs),
  });
}

/** Returns the entry of a wall clock that was set: times that follow are by it. */
export function clockText(setting: bigint, timeNs: bigint): string {
  return line({ event: "clock", clock: String(setting), at: utcText(timeNs) });
}

/** Returns the entry of edges that are missing. */
export function lossText(count: number, timeNs: bigint): string {
  return line({ event: "lost", count, at: utcText(timeNs) });
}

function toDirection(state: LineState): "output" | "input" {
  return (state & StateBits.Output) !== 0 ? "output" : "input";
}

function line(entry: object): string {
  return `${printableJson(entry)}\n`;
}
