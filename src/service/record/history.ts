/**
 * Edges of the past from all records, by time, and the state before them; in
 * pieces, between which others are served.
 *
 * @module
 */
import {
  Cause,
  EdgeRule,
  type LineState,
  lineState,
  packEdge,
  stateAfter,
  stateBefore,
  StateBits,
} from "../../edges/record.ts";
import { MAX_TIME } from "../../edges/edge_ring.ts";
import type { LineFilter } from "./edge_cursor.ts";
import type { WrittenEdges } from "./edge_sink.ts";
import type { EdgeSource, RecordedLine } from "./edge_source.ts";
import type { EdgeStore } from "./edge_store.ts";
import type { StoredEdge } from "./stored_edge.ts";

/** Edges that are read at a time: one or two milliseconds. */
const EDGES_PER_PIECE = 2048;
/** The same where nothing but the state of a line is looked for. */
const STATES_PER_PIECE = 65_536;
/**
 * Longest delay of the kernel's report of an edge, so that edges of different
 * lines are in the order of time. **Units**: nanoseconds.
 */
export const WINDOW_NS = 250e6;

/** Edges that wait for earlier ones, at most. */
export const MAX_WAITING = 4096;

/** Part of the past. */
export interface Span {
  /** Begin; absent: of all that is kept. **Units**: nanoseconds, monotonic. */
  readonly from: number | undefined;
  /** End. **Units**: nanoseconds, monotonic. */
  readonly to: number;
  /** Lines that are wanted; absent: all. */
  readonly filter: LineFilter | undefined;
}

/** Place at which a file ends, and memory goes on. */
interface Seam {
  /** Contents of the file. */
  readonly written: WrittenEdges;
  /** Edges of the file that wait for earlier ones. */
  readonly waiting: readonly StoredEdge[];
}

/** A line at the begin of a span. Times are nanoseconds, monotonic. */
export interface LineAt {
  readonly line: RecordedLine;
  readonly state: LineState;
  /** Its first state, if it begins later. */
  readonly later?: LineState;
  /** Time when it begins, if that is later. */
  readonly begins?: number;
  /** Time when it ends, if that is within the span. */
  readonly ends?: number;
}

/** State before the edges of a span. */
export interface Beginning {
  /** Begin of what is kept of the span. **Units**: nanoseconds, monotonic. */
  readonly from: number;
  readonly lines: readonly LineAt[];
  /** Edges before `from` that are not kept; 0 if `from` is as it was wanted. */
  readonly lost: number;
}

/** Reads a span of all records of a service. */
export class HistoryReader {
  readonly #span: Span;
  readonly #positions: RecordPosition[];
  readonly #seam: Seam | undefined;
  /** Edges that are missing within the span. */
  lost = 0;

  /**
   * Reads what `store` has now; behind a seam, what the file does not have.
   *
   * @param isRest True if what came before was read elsewhere.
   */
  constructor(
    store: EdgeStore,
    span: Span,
    seam?: Seam,
    isRest: boolean = seam !== undefined,
  ) {
    this.#span = span;
    this.#seam = seam;
    this.#positions = store.sources.map((source) =>
      new RecordPosition(source, span.from, seam?.written, isRest)
    );
  }

  /** Looks for the state of the lines at the begin. */
  *begin(): Generator<void, Beginning> {
    const { from } = this.#span;
    const first = Math.min(
      ...this.#positions.map(({ firstTime }) => firstTime),
    );
    let earliest = from ?? Infinity;
    let lost = 0;
    const lines: LineAt[] = [];
    for (const position of this.#positions) {
      lines.push(
        ...yield* position.states(
          this.#span,
          position.firstKept(from ?? first),
        ),
      );
      if (from === undefined || position.firstTime > from) {
        lost += position.overwritten;
      }
    }
    if (from === undefined || lost > 0) earliest = first;
    return { from: Math.min(earliest, this.#span.to), lines, lost };
  }

  /** Returns the edges by time, in pieces. */
  *edges(): Generator<StoredEdge[], void> {
    const { from = -Infinity, to, filter } = this.#span;
    let waiting = [
      ...this.#seam?.waiting ?? [],
      ...this.#positions.flatMap((position) => position.bounds(this.#span)),
    ];
    for (;;) {
      // Only those that are behind: the others' edges would pile up.
      const least = Math.min(...this.#positions.map(({ known }) => known));
      for (const position of this.#positions) {
        if (position.known === least) {
          this.lost += position.read(waiting, filter, to);
        }
      }
      const known = Math.min(...this.#positions.map(({ known }) => known));
      // Stable: edges of one time stay in the order of causes and effects.
      waiting.sort((a, b) => a.time - b.time);
      let count = waiting.findIndex(({ time }) => time > known);
      if (count < 0) count = waiting.length;
      count = Math.max(count, waiting.length - MAX_WAITING);
      const piece = waiting.slice(0, count)
        .filter(({ time }) => time >= from && time <= to);
      waiting = waiting.slice(count);
      yield piece;
      if (known === Infinity) return;
    }
  }
}

/** A reader's position in one record. */
class RecordPosition {
  readonly #source: EdgeSource;
  readonly #written: WrittenEdges | undefined;
  readonly #isRest: boolean;
  readonly #begin: number;
  readonly #end: number;
  #next: number;
  /** Time up to which edges are known. */
  known = -Infinity;
  /** Time of the first edge that is kept. */
  readonly firstTime: number;
  /** Edges that were overwritten before this reader came. */
  readonly overwritten: number;

  constructor(
    source: EdgeSource,
    from: number | undefined,
    written: WrittenEdges | undefined,
    isRest: boolean,
  ) {
    this.#source = source;
    this.#written = written;
    this.#isRest = isRest;
    const { reader } = source;
    this.#end = reader?.head ?? 0;
    this.overwritten = reader?.tail ?? 0;
    this.firstTime = reader === undefined || this.overwritten >= this.#end
      ? Infinity
      : reader.edgeTime(this.overwritten);
    this.#begin = reader === undefined
      ? 0
      : written !== undefined
      ? written.next.get(source.serial) ?? 0
      : from === undefined
      ? this.overwritten
      : reader.firstSince(from - WINDOW_NS);
    this.#next = this.#begin;
  }

  /**
   * Returns the begin of what is known of a span: what a line was when it began
   * says nothing where edges after that were overwritten.
   */
  firstKept(from: number): number {
    return this.overwritten > 0 && !this.#isRest
      ? Math.max(from, Math.min(this.firstTime, MAX_TIME))
      : from;
  }

  /** Looks for the state of each line before the first edge that is read. */
  *states({ to, filter }: Span, from: number): Generator<void, LineAt[]> {
    const wanted = new Map<
      number,
      { line: RecordedLine; begin: number; ending: { ends?: number } }
    >();
    for (const { lines, firstId, begin, end } of this.#source.blocks) {
      if (end !== undefined && end < from || begin > to) continue;
      const ending = end === undefined || end > to ? {} : { ends: end };
      for (const [i, line] of lines.entries()) {
        if (filter?.(line) === false) continue;
        wanted.set(firstId + i, { line, begin, ending });
      }
    }
    const states = new Map<number, LineState>();
    yield* this.#scan(this.overwritten, this.#begin, (id, bits) => {
      if (wanted.has(id)) states.set(id, stateAfter(bits));
    });
    // What a line was is what its next edge began with.
    const left = new Set([...wanted.keys()].filter((id) => !states.has(id)));
    yield* this.#scan(this.#begin, this.#end, (id, bits) => {
      if (left.delete(id)) states.set(id, stateBefore(bits));
    }, () => left.size === 0);
    const latest = new Map<number, LineState>();
    if (this.overwritten > 0) yield* this.#latest(wanted, left, latest);
    return [...wanted].map(([id, { line, begin, ending }]): LineAt =>
      begin > from
        ? {
          line,
          state: absentState(line.first),
          later: line.first,
          begins: begin,
          ...ending,
        }
        : {
          line,
          ...ending,
          // It never changed, unless its edges were overwritten.
          state: states.get(id) ?? latest.get(id) ?? line.first,
        }
    );
  }

  /** Looks for the state of lines none of whose edges can be read, into `states`. */
  *#latest(
    wanted: ReadonlyMap<number, { readonly line: RecordedLine }>,
    ids: Set<number>,
    states: Map<number, LineState>,
  ): Generator<void, void> {
    const { reader } = this.#source;
    if (reader === undefined) return;
    for (const id of ids) {
      const { first } = wanted.get(id)!.line;
      const latest = reader.latestState(id);
      states.set(
        id,
        latest === undefined
          ? unknown(first)
          : latest === "none"
          ? first
          : latest,
      );
    }
    // Edges that came meanwhile are not part of it.
    yield* this.#scan(this.#end, reader.head, (id, bits) => {
      if (ids.delete(id)) states.set(id, stateBefore(bits));
    }, () => ids.size === 0);
  }

  /** Returns the begin and the end of lines as edges. */
  bounds({ from = -Infinity, to, filter }: Span): StoredEdge[] {
    const edges: StoredEdge[] = [];
    const kept = this.firstKept(from);
    const isWithin = (time: number) => time > kept && time <= to;
    for (const block of this.#source.blocks) {
      const { lines, begin, end } = block;
      const isBegun = this.#written?.hasBegun(block) === true;
      const isEnded = this.#written?.hasEnded(block) === true;
      const marks = lines.filter((line) => filter?.(line) !== false);
      for (const line of marks) {
        const absent = absentState(line.first);
        const bits = (before: number, after: number) =>
          packEdge(before, after, Cause.Seen, EdgeRule.None);
        if (!isBegun && isWithin(begin)) {
          edges.push({
            number: 0,
            time: begin,
            line,
            bits: bits(absent, line.first),
          });
        }
        if (!isEnded && end !== undefined && isWithin(end)) {
          edges.push({
            number: 0,
            time: end,
            line,
            bits: bits(line.first, absent),
          });
        }
      }
    }
    return edges;
  }

  /** Reads more edges into `into`; returns the number of lost ones. */
  read(
    into: StoredEdge[],
    filter: LineFilter | undefined,
    to: number,
  ): number {
    const { reader } = this.#source;
    if (reader === undefined || this.#next >= this.#end) {
      this.known = Infinity;
      return 0;
    }
    let lost = 0;
    const count = Math.min(EDGES_PER_PIECE, this.#end - this.#next);
    let last = this.known;
    for (
      const { number, time, lineId, bits } of reader.read(this.#next, count)
    ) {
      lost += number - this.#next;
      this.#next = number + 1;
      last = time - WINDOW_NS;
      const line = this.#source.findLine(lineId);
      if (line === undefined) lost++;
      else if (filter?.(line) !== false) {
        into.push({
          number,
          time,
          line,
          bits,
        });
      }
    }
    this.known = this.#next >= this.#end || last > to ? Infinity : last;
    if (last > to) this.#next = this.#end;
    return lost;
  }

  *#scan(
    from: number,
    to: number,
    see: (id: number, bits: number) => void,
    isDone: () => boolean = () => false,
  ): Generator<void, void> {
    for (let next = from; next < to && !isDone();) {
      const { reader } = this.#source;
      if (reader === undefined) return;
      const end = reader.scan(
        next,
        Math.min(STATES_PER_PIECE, to - next),
        see,
      );
      if (end <= next) return;
      next = end;
      yield;
    }
  }
}

/** The same direction, of a line that is not there. */
export function absentState(state: LineState): LineState {
  return lineState(-1, (state & StateBits.Output) !== 0, false);
}

/** The same direction and presence, with a value that is not known. */
export function unknown(state: LineState): LineState {
  return lineState(
    -1,
    (state & StateBits.Output) !== 0,
    (state & StateBits.Present) !== 0,
  );
}
