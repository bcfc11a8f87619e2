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
interface MissingEdges {
  readonly lost: number;
}

/**
 * All states follow. Where the run is another one, what lines were has ended
 * with the entry before.
 */
interface RecordBegin {
  /** Identifies a run of the service. */
  readonly run: string;
  readonly version: number;
  readonly timeNs: bigint;
  /** Absent in files of earlier versions. */
  readonly clock?: FileClock;
}

/** Wall clock by which times of a file are. */
export interface FileClock {
  /** Identifies a boot of the machine. */
  readonly boot: string;
  /**
   * Its setting: the time since 1970 minus the time since that boot.
   * **Units**: nanoseconds.
   */
  readonly setting: bigint;
}

/** The wall clock was set: times of entries that follow are by its setting. */
interface ClockSet {
  readonly setting: bigint;
}

/** An edge or a state of a line, with what newer files tell of it. */
export interface EdgeEntry extends TableEdge {
  /** Order number of an edge. */
  readonly number?: number;
  readonly lineNumber?: number;
  readonly direction?: "input" | "output";
  readonly present?: boolean;
  /** The line begins or ends here. */
  readonly mark?: "begins" | "ends";
}

/** An entry of a file of edges. */
export type EdgeLine = EdgeEntry | MissingEdges | RecordBegin | ClockSet;

/** Longest line. **Units**: UTF-16 code units. */
const MAX_LINE = 64 * 1024;
const SHOWN = 40;
/** Decimal nanoseconds. */
const SETTING = /^-?\d{1,19}$/;

/**
 * Returns the entries of a file of JSON lines. The rest of a line whose end was
 * not written, as by a crash, is passed over.
 *
 * @param onDamage Called with each line that is not a valid entry.
 * @param isWanted Chooses lines by their text.
 */
export function* readEdgeLines(
  pieces: Iterable<Uint8Array>,
  onDamage: (error: RecordingError) => void,
  isWanted: (line: string) => boolean = (line) => line.trim() !== "",
): Generator<EdgeLine, void> {
  const decoder = new TextDecoder();
  let rest = "";
  let row = 0;
  /** The rest of a line that is too long is passed over. */
  let isWithin = false;
  for (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      row++;
      const isRest = isWithin;
      isWithin = false;
      if (isRest || !isWanted(line)) continue;
      const entry = soundEntry(line, row, onDamage);
      if (entry !== undefined) yield entry;
    }
    if (rest.length <= MAX_LINE) continue;
    if (!isWithin) onDamage(invalid(row + 1, "it is too long"));
    isWithin = true;
    rest = "";
  }
}

function soundEntry(
  line: string,
  row: number,
  onDamage: (error: RecordingError) => void,
): EdgeLine | undefined {
  try {
    return parseEntry(line, row);
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    onDamage(error);
    return undefined;
  }
}

/**
 * Returns the entry of a line; undefined if it is of another kind.
 *
 * @throws {RecordingError} If it is not valid.
 */
export function parseEntry(line: string, row: number): EdgeLine | undefined {
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    throw invalid(row, `${printable(line, SHOWN)} is not valid JSON`);
  }
  if (typeof object !== "object" || object === null) {
    throw invalid(row, "it is not an object");
  }
  const { event, time, aggregator, line: name, value, cause = "", ...more } =
    object as Record<string, unknown>;
  if (event !== undefined) return parseEvent(object as Record<string, unknown>);
  const timeNs = typeof time === "string" ? readTime(time) : undefined;
  if (timeNs === undefined) throw invalid(row, "it has no valid time");
  const isEdge = typeof aggregator === "string" && typeof name === "string" &&
    typeof cause === "string" && (value === 0 || value === 1 || value === null);
  if (!isEdge) throw invalid(row, "it has no line with a value");
  const { number, lineNumber, direction, present, begins, ends } = more;
  return {
    timeNs,
    scope: aggregator,
    name,
    value: (value ?? undefined) as SignalValue,
    cause,
    ...(isCount(number) ? { number } : {}),
    ...(isCount(lineNumber) ? { lineNumber } : {}),
    ...(direction === "input" || direction === "output" ? { direction } : {}),
    ...(typeof present === "boolean" ? { present } : {}),
    ...(begins === true
      ? { mark: "begins" }
      : ends === true
      ? { mark: "ends" }
      : {}),
  };
}

function parseEvent(
  { event, count, run, version, at, boot, clock }: Record<string, unknown>,
): EdgeLine | undefined {
  if (event === "lost" && isCount(count)) return { lost: count };
  const setting = typeof clock === "string" && SETTING.test(clock)
    ? BigInt(clock)
    : undefined;
  if (event === "clock" && setting !== undefined) return { setting };
  const timeNs = typeof at === "string" ? readTime(at) : undefined;
  const isRecord = event === "record" && typeof run === "string" &&
    isCount(version) && timeNs !== undefined;
  if (!isRecord) return undefined;
  return {
    run,
    version,
    timeNs,
    ...(typeof boot === "string" && setting !== undefined
      ? { clock: { boot, setting } }
      : {}),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function invalid(row: number, why: string): RecordingError {
  return new RecordingError(`row ${row}: ${why}`);
}
