/**
 * The place up to which a reader has read all records of a service.
 *
 * @module
 */
import type { EdgeSource, RecordedLine } from "./edge_source.ts";
import type { EdgeStore } from "./edge_store.ts";
import type { StoredEdge } from "./stored_edge.ts";

/** Lines that a reader wants; absent: all. */
export type LineFilter = (line: RecordedLine) => boolean;

/** Edges that were read at a time. */
interface EdgeBatch {
  readonly edges: readonly StoredEdge[];
  /** Edges before them that were overwritten, whichever lines they were of. */
  readonly lost: number;
}

/** Edges that are read at a time. */
interface ReadLimits {
  /** Most edges. */
  readonly count: number;
  /** Time of the last one. **Units**: nanoseconds, monotonic. */
  readonly until: number;
  readonly filter: LineFilter | undefined;
}

/** Time within which a line of an edge becomes known. **Units**: ms. */
const TO_COME_MS = 10_000;

/** Batches in which records wait for one that does not go on. */
const SPARE_BATCHES = 16;

/** A reader of all records, each in its order. */
export class EdgeCursor {
  readonly #store: EdgeStore;
  readonly #now: () => number;
  /** Number of the next edge by the serial number of a source. */
  readonly #next = new Map<number, number>();
  /** Heads of records up to which they are read in the order of time. */
  readonly #ends = new Map<number, number>();
  /** Batches within which they are reached. */
  #batches = SPARE_BATCHES;
  /** Edges whose lines are to come, and since when they are waited for. */
  readonly #waits = new Map<number, { number: number; sinceMs: number }>();

  /**
   * Begins with what comes from now on.
   *
   * @param now Monotonic milliseconds; tests bring their own clock.
   */
  constructor(store: EdgeStore, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#now = now;
    for (const { serial, reader } of store.sources) {
      if (reader !== undefined) this.#next.set(serial, reader.head);
    }
  }

  /**
   * Returns a reader that goes on where {@linkcode EdgeCursor.toString} left off;
   * undefined if the text is not one of those.
   */
  static of(text: string, store: EdgeStore): EdgeCursor | undefined {
    const cursor = new EdgeCursor(store);
    // Records that began since are read from their beginning.
    cursor.#next.clear();
    for (const part of text === "" ? [] : text.split("_")) {
      const match = /^(\d{1,9}):(\d{1,15})$/.exec(part);
      if (match === null) return undefined;
      cursor.#next.set(Number(match[1]), Number(match[2]));
    }
    return cursor;
  }

  /** Text from which a later reader can go on. */
  toString(): string {
    return this.#store.sources.map(({ serial }) =>
      `${serial}:${this.#next.get(serial) ?? 0}`
    ).join("_");
  }

  /** Number of the next edge by the serial number of a source. */
  get places(): ReadonlyMap<number, number> {
    return new Map(this.#next);
  }

  /** True if there may be edges to read. */
  get isBehind(): boolean {
    return this.#store.sources.some(({ serial, reader }) =>
      reader !== undefined && reader.head !== (this.#next.get(serial) ?? 0)
    );
  }

  /**
   * Reads at most `count` edges of each record.
   *
   * @returns Those of the lines that are wanted, by time.
   */
  read(count: number, filter?: LineFilter): EdgeBatch {
    return this.#read(() => ({ count, until: Infinity, filter }));
  }

  /**
   * Reads at most `count` edges of each record, so that all that is read is in
   * the order of time, but for late reports of the kernel: a record that has
   * more holds the others back, for what it has now.
   */
  readInOrder(count: number): EdgeBatch {
    const { sources } = this.#store;
    const next = ({ serial, reader }: EdgeSource) =>
      Math.max(this.#next.get(serial) ?? 0, reader?.tail ?? 0);
    const left = (source: EdgeSource) =>
      Math.min(this.#ends.get(source.serial) ?? 0, source.reader?.head ?? 0) -
      next(source);
    // One that says nonsense, or whose lines do not come, does not hold others.
    const isOver = this.#batches-- <= 0;
    if (isOver || sources.every((source) => left(source) <= 0)) {
      this.#batches = SPARE_BATCHES;
      for (const source of sources) {
        this.#ends.set(source.serial, source.reader?.head ?? 0);
        this.#batches += Math.ceil(Math.max(0, left(source)) / count);
      }
    }
    if (isOver) return this.read(count);
    let until = Infinity;
    let last: EdgeSource | undefined;
    for (const source of sources) {
      if (source.reader === undefined || left(source) <= count) continue;
      const time = source.reader.edgeTime(next(source) + count - 1);
      if (time >= until) continue;
      until = time;
      last = source;
    }
    return this.#read((source) => ({
      count: Math.max(0, Math.min(count, left(source))),
      until: source === last ? Infinity : until,
      filter: undefined,
    }));
  }

  #read(readLimits: (source: EdgeSource) => ReadLimits): EdgeBatch {
    const edges: StoredEdge[] = [];
    let lost = 0;
    let records = 0;
    for (const source of this.#store.sources) {
      const before = edges.length;
      lost += this.#readSource(source, readLimits(source), edges);
      if (edges.length > before) records++;
    }
    // Within a record the order is that of causes and effects.
    if (records > 1) edges.sort((a, b) => a.time - b.time);
    return { edges, lost };
  }

  #readSource(
    source: EdgeSource,
    { count, until, filter }: ReadLimits,
    edges: StoredEdge[],
  ): number {
    const { serial, reader } = source;
    if (reader === undefined) return 0;
    let next = this.#next.get(serial) ?? 0;
    // What another process wrote may be nonsense.
    if (next > reader.head) next = reader.head;
    let lost = 0;
    for (const { number, time, lineId, bits } of reader.read(next, count)) {
      if (time > until) break;
      const line = source.findLine(lineId);
      if (line === undefined && this.#isAwaited(source, lineId, number)) break;
      lost += number - next + (line === undefined ? 1 : 0);
      next = number + 1;
      if (line === undefined || filter?.(line) === false) continue;
      edges.push({ number, time, line, bits });
    }
    this.#next.set(serial, next);
    return lost;
  }

  /** Returns true for an edge whose line will be known; another process may lie. */
  #isAwaited(source: EdgeSource, lineId: number, number: number): boolean {
    if (!source.isToCome(lineId)) return false;
    const nowMs = this.#now();
    const wait = this.#waits.get(source.serial);
    if (wait?.number === number) return nowMs - wait.sinceMs < TO_COME_MS;
    this.#waits.set(source.serial, { number, sinceMs: nowMs });
    return true;
  }
}
