/**
 * Reads a service's file of edges entry by entry, with times and causes as they
 * were written.
 *
 * @module
 */
import { printable } from "../text/printable.ts";
import { RecordingError, type SignalValue } from "./recording.ts";
import type { TableEdge } from "./table.ts";
import { readTime } from "./time_text.ts";

/** Edges that are missing in a file. */
export interface MissingEdges {
  readonly lost: number;
}

/** An edge or a value of a file, or edges that are missing there. */
export type EdgeLine = TableEdge | MissingEdges;

/** Longest line. **Units**: UTF-16 code units. */
const MAX_LINE = 64 * 1024;
const SHOWN = 40;

/**
 * Returns the entries of a file of JSON lines. The rest of a line whose end was
 * not written, as by a crash, is passed over.
 *
 * @throws {RecordingError} If it is not a valid file.
 */
export function* readEdgeLines(
  pieces: Iterable<Uint8Array>,
): Generator<EdgeLine, void> {
  const decoder = new TextDecoder();
  let rest = "";
  let row = 0;
  for (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      row++;
      const entry = line.trim() === "" ? undefined : entryOf(line, row);
      if (entry !== undefined) yield entry;
    }
    if (rest.length > MAX_LINE) throw invalid(row + 1, "it is too long");
  }
}

/** Returns the entry of a line; undefined if it is of another kind. */
function entryOf(line: string, row: number): EdgeLine | undefined {
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    throw invalid(row, `${printable(line, SHOWN)} is not valid JSON`);
  }
  if (typeof object !== "object" || object === null) {
    throw invalid(row, "it is not an object");
  }
  const { event, count, time, aggregator, line: name, value, cause = "" } =
    object as Record<string, unknown>;
  if (event !== undefined) {
    return event === "lost" && Number.isSafeInteger(count)
      ? { lost: count as number }
      : undefined;
  }
  const timeNs = typeof time === "string" ? readTime(time) : undefined;
  if (timeNs === undefined) throw invalid(row, "it has no valid time");
  const isEdge = typeof aggregator === "string" && typeof name === "string" &&
    typeof cause === "string" && (value === 0 || value === 1 || value === null);
  if (!isEdge) throw invalid(row, "it has no line with a value");
  return {
    timeNs,
    scope: aggregator,
    name,
    value: (value ?? undefined) as SignalValue,
    cause,
  };
}

function invalid(row: number, why: string): RecordingError {
  return new RecordingError(`row ${row}: ${why}`);
}
