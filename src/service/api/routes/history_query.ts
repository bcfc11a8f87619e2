/**
 * The query of a history: the part of the past, the lines, the format.
 *
 * @module
 */
import { readTime } from "../../../recording/time_text.ts";
import { nearestForPeer } from "../../../text/nearest.ts";
import { readPeriodUs } from "../../../text/period.ts";
import { printable } from "../../../text/printable.ts";
import { EdgeCursor, type LineFilter } from "../../record/edge_cursor.ts";
import type { EdgeSubscription } from "../events/edge_feed.ts";
import type { EventPosition } from "../events/event_log.ts";
import type { RecordedLine } from "../../record/edge_source.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import {
  HISTORY_TYPES,
  type HistoryFormat,
} from "../../record/history_formats.ts";
import { HttpError } from "../requests/messages.ts";
import { type QueryParameters, readFlag } from "../requests/routes.ts";

/** Edges of a JSON answer, by default and at most. */
const DEFAULT_LIMIT = 10_000;
const MAX_LIMIT = 1_000_000;
/** Most lines that a query names. */
const MAX_LINES = 1024;
const NS_PER_US = 1000n;

/** Parameters of a history. */
export const HISTORY_PARAMETERS = {
  from: "once",
  to: "once",
  lines: "once",
  limit: "once",
  format: "once",
} as const satisfies QueryParameters;

/** Parameters of a stream of events. */
export const EVENT_PARAMETERS = {
  aggregator: "once",
  edges: "once",
  lines: "once",
} as const satisfies QueryParameters;

/** A query of the history. Times are nanoseconds since 1970. */
interface HistoryQuery {
  /** Absent: all that is kept. */
  readonly from: bigint | undefined;
  /** Absent: now. */
  readonly to: bigint | undefined;
  readonly format: HistoryFormat;
  /** Most edges; a table or a dump has all by default. */
  readonly limit: number;
  readonly filter: LineFilter | undefined;
  /** Names of lines that are not in memory. */
  readonly missing: ReadonlySet<string>;
}

/**
 * Reads a query of {@linkcode HISTORY_PARAMETERS}.
 *
 * @param accept The header of that name.
 * @param now Time since 1970. **Units**: nanoseconds.
 * @throws {HttpError} If it is not valid.
 */
export function readHistoryQuery(
  query: URLSearchParams,
  accept: string,
  now: bigint,
  store: EdgeStore,
): HistoryQuery {
  const from = readMoment(query, "from", now);
  const to = readMoment(query, "to", now);
  if (from !== undefined && to !== undefined && from > to) {
    throw new HttpError(400, "from is later than to");
  }
  const format = readFormat(query.get("format"), accept);
  return {
    from,
    to,
    format,
    limit: readLimit(query.get("limit")) ??
      (format === "json" ? DEFAULT_LIMIT : Infinity),
    ...readLines(query.get("lines"), store),
  };
}

/**
 * Returns what a listener of events wants of edges; undefined for nothing.
 *
 * @param after Place of the last event that it had.
 * @throws {HttpError} If the query is not valid, or nothing is recorded.
 */
export function edgeSubscription(
  query: URLSearchParams,
  after: EventPosition | undefined,
  store: EdgeStore | undefined,
): EdgeSubscription | undefined {
  const lines = query.get("lines");
  if (!readFlag(query, "edges")) {
    if (lines === null) return undefined;
    throw new HttpError(400, "lines chooses edges: write edges=1 too");
  }
  const record = requireRecord(store);
  const chosen = lines === null ? undefined : new Set(lines.split(","));
  const aggregator = query.get("aggregator") || undefined;
  // One that is created later counts too.
  const filter = chosen !== undefined
    ? makeFilter(chosen)
    : aggregator === undefined
    ? undefined
    : (line: RecordedLine) => line.aggregator === aggregator;
  const cursor = after === undefined || after.edges === ""
    ? undefined
    : EdgeCursor.of(after.edges, record);
  return { cursor: cursor ?? new EdgeCursor(record), filter };
}

/** @throws {HttpError} If no edges are recorded. */
export function requireRecord(store: EdgeStore | undefined): EdgeStore {
  if (store !== undefined) return store;
  throw new HttpError(
    409,
    "This service records no edges",
    "It was started with the record off (record: off, or --record off)",
  );
}

/** A time as edges have it. */
const NANOSECONDS = /^\d{15,19}$/;

function readMoment(
  query: URLSearchParams,
  key: "from" | "to",
  now: bigint,
): bigint | undefined {
  const text = query.get(key);
  if (text === null || text === "") return undefined;
  if (NANOSECONDS.test(text)) return BigInt(text);
  const ago = text.startsWith("-") ? readPeriodUs(text.slice(1)) : undefined;
  if (ago !== undefined && Number.isSafeInteger(ago)) {
    return now - BigInt(ago) * NS_PER_US;
  }
  const time = readTime(text);
  if (time !== undefined) return time;
  throw new HttpError(
    400,
    `"${printable(text, 64)}" is not a valid time for ${key}`,
    "Write nanoseconds since 1970 as edges have them, 2026-11-29T15:00:00Z, or " +
      "-10m for ten minutes ago",
  );
}

function readLimit(text: string | null): number | undefined {
  if (text === null) return undefined;
  const limit = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new HttpError(
    400,
    `"${printable(text, 64)}" is not a valid limit`,
    `Write 1 to ${MAX_LIMIT}`,
  );
}

function readFormat(format: string | null, accept: string): HistoryFormat {
  const formats = Object.keys(HISTORY_TYPES) as HistoryFormat[];
  if (format !== null) {
    const known = formats.find((one) => one === format);
    if (known !== undefined) return known;
    throw new HttpError(
      400,
      `"${printable(format, 64)}" is not a valid format`,
      `There are ${formats.join(", ")}`,
    );
  }
  return formats.find((one) => accept.includes(HISTORY_TYPES[one])) ?? "json";
}

/**
 * Reads a list of aggregators, and of lines such as `press.START`.
 *
 * @throws {HttpError} If it has too many.
 */
function readLines(
  text: string | null,
  store: EdgeStore,
): Pick<HistoryQuery, "filter" | "missing"> {
  const missing = new Set(text === null || text === "" ? [] : text.split(","));
  if (missing.size === 0) return { filter: undefined, missing };
  if (missing.size > MAX_LINES) {
    throw new HttpError(400, `lines has more than ${MAX_LINES} names`);
  }
  const filter = makeFilter(new Set(missing));
  for (const source of store.sources) {
    for (const { lines } of source.blocks) {
      dropNames(missing, lines);
      if (missing.size === 0) break;
    }
  }
  return { filter, missing };
}

/** @throws {HttpError} If lines do not have all names. */
export function requireNames(
  names: ReadonlySet<string>,
  lines: readonly RecordedLine[],
): void {
  const left = new Set(names);
  dropNames(left, lines);
  if (left.size === 0) return;
  const [unknown = ""] = left;
  const near = nearestForPeer(unknown, namesOfAll(lines));
  throw new HttpError(
    404,
    `There is no aggregator or line "${printable(unknown, 128)}" in the record`,
    near === undefined
      ? "/v1/lines lists those that are served"
      : `Did you mean ${printable(near)}?`,
  );
}

function* namesOfAll(lines: readonly RecordedLine[]): Generator<string, void> {
  for (const { aggregator, title } of lines) {
    yield aggregator;
    yield `${aggregator}.${title}`;
  }
}

function dropNames(names: Set<string>, lines: readonly RecordedLine[]): void {
  for (const line of lines) {
    for (const name of listNames(line)) names.delete(name);
    if (names.size === 0) return;
  }
}

/** Returns the filter of lines by their names, which is asked once for each. */
function makeFilter(names: ReadonlySet<string>): LineFilter {
  const known = new WeakMap<RecordedLine, boolean>();
  return (line) => {
    let isWanted = known.get(line);
    if (isWanted === undefined) {
      isWanted = listNames(line).some((name) => names.has(name));
      known.set(line, isWanted);
    }
    return isWanted;
  };
}

/** Names by which a query may mean a line. */
function listNames({ aggregator, title, lineNumber }: RecordedLine): string[] {
  return [aggregator, `${aggregator}.${title}`, `${aggregator}.${lineNumber}`];
}
