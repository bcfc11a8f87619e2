/**
 * Edges of the past out of the file of a service, and of what it does not have
 * yet out of memory: complete, in order, each once.
 *
 * @module
 */
import {
  type EdgeEntry,
  type FileClock,
  parseEntry,
} from "../../recording/edge_lines.ts";
import { printableError } from "../../text/printable.ts";
import {
  type EdgeArchive,
  type FileTime,
  limited,
  lineKey,
} from "./edge_archive.ts";
import { FORMAT_VERSION } from "./edge_file_text.ts";
import type { EdgeFileReader, WrittenEdges } from "./edge_sink.ts";
import type { RecordedBlock } from "./edge_source.ts";
import type { EdgeStore } from "./edge_store.ts";
import { FileLines, type LineBatch } from "./file_lines.ts";
import {
  edgeOfEntry,
  endEdge,
  type FileLine,
  packState,
  seenEdge,
} from "./file_states.ts";
import {
  absentState,
  type Beginning,
  HistoryReader,
  type LineAt,
  MAX_WAITING,
  type Span,
  unknown,
  WINDOW_NS,
} from "./history.ts";
import { type HistoryStream, MemoryHistory } from "./history_stream.ts";
import { type LineState, stateAfter } from "../../edges/record.ts";
import type { StoredEdge } from "./stored_edge.ts";
import { atOnce, type Run } from "./turns.ts";

/** Bytes that are read at a time: some hundred edges, one or two ms. */
const READ_BYTES = 48 * 1024;

/**
 * Reads a span out of memory, or where the files go back further, out of them.
 *
 * @param options Times are `offset` later than monotonic ones; work is done in
 * turns of `run`.
 */
export async function openHistory(
  store: EdgeStore,
  archive: EdgeArchive | undefined,
  span: Span,
  { offset, run }: { offset: bigint; run: Run },
): Promise<HistoryStream> {
  const { keptSince } = store;
  if (
    archive === undefined || span.from !== undefined && span.from >= keptSince
  ) {
    return new MemoryHistory(store, span, run);
  }
  await archive.search(run);
  const { beginNs } = archive;
  // A file that another process took away begins after what is in memory.
  const isMore = beginNs === undefined || Number(beginNs - offset) < keptSince;
  return isMore
    ? new FileHistory(store, archive, span, { offset, run })
    : new MemoryHistory(store, span, run);
}

/** Reads a span, which begins before what is in memory. */
export class FileHistory implements HistoryStream {
  readonly #store: EdgeStore;
  readonly #archive: EdgeArchive;
  readonly #span: Span;
  readonly #offset: bigint;
  readonly #run: Run;
  /** Lines that were read, by scope and name. */
  readonly #lines = new Map<string, FileLine>();
  /** States before the edges that were returned, in the order of time. */
  readonly #states = new Map<string, LineState>();
  readonly #notes: string[] = [];
  #runId: string | undefined;
  /** Wall clock at the place up to which the file is read. */
  #clock: FileClock | undefined;
  #generation = 0;
  #reader: EdgeFileReader | undefined;
  #file: FileLines | undefined;
  /** Edges that wait for earlier ones. */
  #waiting: StoredEdge[] = [];
  /** Time of the last entry. **Units**: nanoseconds, monotonic. */
  #last = -Infinity;
  /** The first edges of the span. */
  #first: StoredEdge[] | undefined;
  /** Contents of the file, once all of it is read. */
  #readAll: WrittenEdges | undefined;
  /** Edges in memory, which are read after the file. */
  #rest: { reader: HistoryReader; pieces: Iterator<StoredEdge[]> } | undefined;
  #damaged = 0;
  #damagedAt = "";
  #lost = 0;
  #isOver = false;

  /** Reads in turns of `run`; times are `offset` later than monotonic ones. */
  constructor(
    store: EdgeStore,
    archive: EdgeArchive,
    span: Span,
    { offset, run }: { offset: bigint; run: Run },
  ) {
    this.#store = store;
    this.#archive = archive;
    this.#span = span;
    this.#offset = offset;
    this.#run = run;
  }

  get lost(): number {
    return this.#lost + (this.#rest?.reader.lost ?? 0);
  }

  get notes(): readonly string[] {
    const notes = [...this.#archive.notes, ...this.#notes];
    if (this.#damaged > 0) {
      const what = this.#damaged === 1
        ? "1 entry is not valid and is"
        : `${this.#damaged} entries are not valid and are`;
      notes.push(`${what} left out, the first at ${this.#damagedAt}`);
    }
    return [...new Set(notes)];
  }

  async begin(): Promise<Beginning> {
    const { from, to } = this.#span;
    await this.#archive.search(this.#run);
    const place = this.#archive.placeBefore(
      from === undefined ? undefined : this.#wall(from - WINDOW_NS),
    );
    if (place !== undefined) {
      await this.#open(place.generation, place.offset);
    }
    for (;;) {
      const edges = await this.#read();
      if (edges === undefined) break;
      const begin = from === undefined
        ? 0
        : edges.findIndex(({ time }) => time >= from);
      const before = begin < 0 ? edges : edges.slice(0, begin);
      for (const { line: { aggregator, title }, bits } of before) {
        this.#states.set(lineKey(aggregator, title), stateAfter(bits));
      }
      if (begin < 0 || begin === edges.length) continue;
      this.#first = edges.slice(begin);
      break;
    }
    const first = this.#first?.[0]?.time;
    const at = Math.min(from ?? first ?? this.#store.keptSince, to);
    return { from: at, lines: this.#linesAt(at), lost: 0 };
  }

  async next(): Promise<StoredEdge[] | undefined> {
    const first = this.#first;
    this.#first = undefined;
    const { from = -Infinity, to } = this.#span;
    const edges = first ?? await this.#read();
    return edges?.filter(({ time }) => time >= from && time <= to);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#reader?.close();
    this.#reader = undefined;
  }

  #wall(time: number): bigint {
    return BigInt(Math.round(time)) + this.#offset;
  }

  #mono(time: FileTime): number {
    return Number(this.#archive.timeNs(time) - this.#offset);
  }

  /** Lines of the span, with their states at its begin. */
  #linesAt(from: number): LineAt[] {
    const { to, filter } = this.#span;
    const lines: LineAt[] = [];
    for (const life of this.#archive.lives) {
      const { line } = life;
      const begins = life.begins ? this.#mono(life.begins) : -Infinity;
      const ends = life.ends && this.#mono(life.ends);
      if (begins > to || ends !== undefined && ends < from) continue;
      if (filter?.(line) === false) continue;
      const key = lineKey(line.aggregator, line.title);
      const ending = ends === undefined || ends > to ? {} : { ends };
      lines.push(
        begins > from
          ? {
            line,
            state: absentState(line.first),
            later: line.first,
            begins,
            ...ending,
          }
          : {
            line,
            state: this.#states.get(key) ??
              (begins === from ? line.first : unknown(line.first)),
            ...ending,
          },
      );
    }
    const { written, isUnreadable } = this.#archive;
    const isTold = (block: RecordedBlock) =>
      !isUnreadable && written.hasBegun(block);
    for (const { blocks } of this.#store.sources) {
      for (const block of blocks) {
        const { begin, end } = block;
        const isOver = end !== undefined && end < from;
        if (isTold(block) || begin > to || isOver) continue;
        for (const line of block.lines) {
          if (filter?.(line) === false) continue;
          lines.push({
            line,
            state: absentState(line.first),
            later: line.first,
            begins: begin,
            ...(end === undefined || end > to ? {} : { ends: end }),
          });
        }
      }
    }
    return lines;
  }

  /** Returns more edges by time: of the file, then of memory. */
  async #read(): Promise<StoredEdge[] | undefined> {
    while (!this.#isOver && this.#rest === undefined) {
      const batch = await this.#nextBatch();
      if (batch === undefined) {
        const left = await this.#readMemory();
        if (left.length > 0) return left;
        break;
      }
      const edges = await this.#run(atOnce(() => this.#takeBatch(batch)));
      const isBehind = this.#last - WINDOW_NS > this.#span.to;
      if (isBehind) {
        // What is later is not wanted.
        this.#isOver = true;
        return [...edges, ...this.#waiting.sort(byTime)];
      }
      if (edges.length > 0) return edges;
    }
    if (this.#isOver || this.#rest === undefined) return undefined;
    const { pieces } = this.#rest;
    const { value, done } = await this.#run(atOnce(() => pieces.next()));
    return done === true ? undefined : value;
  }

  /**
   * Goes on with what the file does not have, or what was not read of it.
   *
   * @returns Edges that come before.
   */
  async #readMemory(): Promise<StoredEdge[]> {
    const { to, filter } = this.#span;
    const waiting = this.#waiting.sort(byTime);
    const written = this.#readAll;
    const reader = written === undefined
      ? new HistoryReader(
        this.#store,
        { from: this.#last + 1, to, filter },
        undefined,
        true,
      )
      : new HistoryReader(
        this.#store,
        { from: undefined, to, filter },
        { written, waiting },
      );
    this.#waiting = [];
    if (written === undefined) {
      this.#lost += (await this.#run(reader.begin())).lost;
    }
    this.#rest = { reader, pieces: reader.edges() };
    this.#reader?.close();
    this.#reader = undefined;
    return written === undefined ? waiting : [];
  }

  async #open(generation: number, offset: number): Promise<void> {
    this.#reader?.close();
    this.#reader = undefined;
    this.#file = undefined;
    this.#generation = generation;
    try {
      this.#reader = await limited(this.#archive.open(generation));
    } catch (error) {
      this.#failed(error);
    }
    if (this.#reader === undefined) return;
    this.#file = new FileLines(this.#reader, offset, 0, READ_BYTES);
  }

  #failed(error: unknown): void {
    this.#reader = undefined;
    this.#notes.push(
      `${this.#archive.fileName(this.#generation)} cannot be read: ` +
        printableError(error),
    );
  }

  /** Returns lines of this file, or of the next one. */
  async #nextBatch(): Promise<LineBatch | undefined> {
    try {
      for (;;) {
        const { written } = this.#archive;
        if (this.#reader === undefined || this.#file === undefined) {
          if (written.size === 0) this.#readAll = written;
          else this.#notes.push(`not all of ${this.#archive.path} was read`);
          return undefined;
        }
        const isLast = this.#generation >= written.generation;
        // What is written meanwhile belongs to the answer as well.
        this.#file.end = this.#generation === written.generation
          ? written.size
          : isLast
          ? 0
          : Infinity;
        const batch = await limited(this.#file.next());
        if (this.#file.tooLong > 0) {
          this.#damage(this.#file.tooLong, this.#file.tooLongAt);
        }
        this.#file.tooLong = 0;
        if (batch !== undefined) return batch;
        if (this.#archive.written.generation <= this.#generation) {
          if (this.#archive.written === written) {
            this.#readAll = written;
            return undefined;
          }
        } else await this.#open(this.#generation + 1, 0);
      }
    } catch (error) {
      this.#reader?.close();
      this.#failed(error);
      return undefined;
    }
  }

  /** Takes lines; returns the edges before which none can come any more. */
  #takeBatch(batch: LineBatch): StoredEdge[] {
    for (const [i, line] of batch.lines.entries()) {
      if (line === "") continue;
      try {
        const entry = parseEntry(line, 0);
        if (entry === undefined) continue;
        if ("run" in entry) this.#takeRun(entry);
        else if ("setting" in entry) {
          this.#clock = this.#clock && { ...this.#clock, ...entry };
        } else if ("lost" in entry) {
          if (this.#last >= (this.#span.from ?? -Infinity)) {
            this.#lost += entry.lost;
          }
        } else this.#take(entry, () => batch.fileOffset(i));
      } catch {
        this.#damage(1, batch.fileOffset(i));
      }
    }
    const known = this.#last - WINDOW_NS;
    const waiting = this.#waiting.sort(byTime);
    let count = waiting.findIndex(({ time }) => time > known);
    if (count < 0) count = waiting.length;
    count = Math.max(count, waiting.length - MAX_WAITING);
    this.#waiting = waiting.slice(count);
    return waiting.slice(0, count);
  }

  #damage(count: number, at: number): void {
    if (this.#damaged === 0) {
      const name = this.#archive.fileName(this.#generation);
      this.#damagedAt = `byte ${at} of ${name}`;
    }
    this.#damaged += count;
  }

  /** Another run of the service: what lines were has ended. */
  #takeRun(
    { run, version, clock }: {
      run: string;
      version: number;
      clock?: FileClock;
    },
  ): void {
    this.#clock = clock;
    if (version > FORMAT_VERSION) {
      this.#notes.push(
        `a newer version of gpioagg (format ${version}) wrote a part of ` +
          `${this.#archive.path}, of which some may be missing`,
      );
    }
    if (run === this.#runId) return;
    this.#runId = run;
    for (const line of this.#lines.values()) {
      this.#push(endEdge(line, this.#last + 1));
    }
    this.#lines.clear();
  }

  #take(entry: EdgeEntry, place: () => number): void {
    const { scope, name, cause, mark } = entry;
    const time = this.#mono({ ns: entry.timeNs, clock: this.#clock });
    const key = lineKey(scope, name);
    let known = this.#lines.get(key);
    this.#last = time;
    if (known === undefined || mark === "begins") {
      known = this.#begin(entry, key, time);
      if (cause === "") return;
    }
    if (cause !== "") {
      // Files of version 1 have no numbers: places rise, too.
      const number = entry.number ?? place();
      const edge = edgeOfEntry(entry, known, time, number);
      known.state = stateAfter(edge.bits);
      this.#push(edge);
    } else if (mark === "ends") {
      this.#push(endEdge(known, time));
      known.state = absentState(known.state);
    } else {
      const after = packState(entry, known.state);
      if (after === known.state) return;
      this.#push(seenEdge(known.line, known.state, after, time));
      known.state = after;
    }
  }

  /** A line begins, or is there already where the reading begins. */
  #begin(entry: EdgeEntry, key: string, time: number): FileLine {
    const { scope, name, mark, cause } = entry;
    const state = packState(entry, undefined);
    const line = {
      aggregator: scope,
      title: name,
      lineNumber: entry.lineNumber ?? this.#archive.findNumber(entry),
      first: state,
    };
    const isFirst = !this.#states.has(key) && !this.#lines.has(key);
    const known: FileLine = { line, state };
    this.#lines.set(key, known);
    if (mark === "begins") {
      this.#push(seenEdge(line, absentState(state), state, time));
    } else if (cause !== "") known.state = unknown(state);
    else if (isFirst) this.#states.set(key, state);
    else this.#push(seenEdge(line, absentState(state), state, time));
    return known;
  }

  #push(edge: StoredEdge): void {
    if (this.#span.filter?.(edge.line) !== false) this.#waiting.push(edge);
  }
}

function byTime(a: StoredEdge, b: StoredEdge): number {
  return a.time - b.time;
}
