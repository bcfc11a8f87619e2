/**
 * The file of edges of a service, and the older one beside it, for readers of
 * the past: which lines they have, and where a time is found in them.
 *
 * @module
 */
import { settlesWithin } from "../../async/wait.ts";
import {
  type EdgeEntry,
  type FileClock,
  parseEntry,
} from "../../recording/edge_lines.ts";
import { printableError } from "../../text/printable.ts";
import type { EdgeFile } from "./edge_file.ts";
import type { EdgeFileReader, EdgeSink, WrittenEdges } from "./edge_sink.ts";
import type { RecordedLine } from "./edge_source.ts";
import { FileLines, type LineBatch } from "./file_lines.ts";
import { packState } from "./file_states.ts";
import type { EdgeStore } from "./edge_store.ts";
import { atOnce, type Run } from "./turns.ts";

/** Most of both files that is searched: their end. **Units**: bytes. */
const MAX_SEARCHED = 256 * 1024 * 1024;
/** Bytes that are searched at a time: a few milliseconds. */
const SEARCHED_BYTES = 256 * 1024;
/** Lives of lines that are kept in memory. */
const MAX_LIVES = 100_000;
/** Numbers of lines of which an old file says none. */
const FIRST_NUMBER = 65_536;
/** Time within which what happens just now is in the file. */
const CATCH_UP_MS = 500;
/** Time limit of a system call. **Units**: milliseconds. */
const FILE_LIMIT_MS = 10_000;
const ATTEMPTS = 8;
const RECORD = '{"event":"record"';
const CAUSE = '"cause":';

/** A time as a file has it. */
export interface FileTime {
  /** **Units**: nanoseconds since 1970. */
  readonly ns: bigint;
  /** Wall clock of then; absent: unknown. */
  readonly clock: FileClock | undefined;
}

/** A line of a file, from its begin to its end. */
interface FileLife {
  readonly line: RecordedLine;
  /** Absent: it was there at the begin of the file. */
  readonly begins: FileTime | undefined;
  ends: FileTime | undefined;
}

/** A place in a file at which all states follow. */
interface FilePosition {
  readonly generation: number;
  /** **Units**: bytes. */
  readonly offset: number;
  readonly time: FileTime;
}

/** Finds of the search of one file. */
interface FileIndex {
  readonly generation: number;
  /** Place of the begin of what is searched. */
  readonly begin: number;
  /** Place up to which it is searched. */
  searched: number;
  /** All of it is searched, and it does not grow. */
  isWhole: boolean;
  readonly places: FilePosition[];
}

/** Both files of a service. */
export class EdgeArchive {
  /** Path for messages. */
  readonly path: string;
  readonly #file: EdgeFile;
  readonly #sink: EdgeSink;
  readonly #store: EdgeStore;
  /** By generation: the older file first. */
  #indices: FileIndex[] = [];
  #lives: FileLife[] = [];
  /** Those of them that have not ended, by scope and name. */
  readonly #there = new Map<string, FileLife>();
  readonly #numbers = new Map<string, number>();
  #run: string | undefined;
  /** Wall clock at the place up to which the files are searched. */
  #clock: FileClock | undefined;
  /** The latest known setting of each boot. */
  readonly #settings = new Map<string, bigint>();
  #lastLine = "";
  #search: Promise<void> = Promise.resolve();
  #problems: string[] = [];

  /** Reads what `file` writes into `sink`. */
  constructor(
    path: string,
    file: EdgeFile,
    sink: EdgeSink,
    store: EdgeStore,
  ) {
    this.path = path;
    this.#file = file;
    this.#sink = sink;
    this.#store = store;
  }

  /** Contents of the file by now. */
  get written(): WrittenEdges {
    return this.#file.written;
  }

  /** Lines of both files, as {@linkcode EdgeArchive.search} has found them. */
  get lives(): readonly FileLife[] {
    return this.#lives;
  }

  /**
   * Time from which on the files have edges; 0 if that is not known, undefined if
   * there is no file. **Units**: nanoseconds since 1970.
   */
  get beginNs(): bigint | undefined {
    const [first] = this.#indices;
    if (first === undefined) return undefined;
    const [place] = first.places;
    return place?.offset === first.begin ? this.timeNs(place.time) : 0n;
  }

  /**
   * Returns a time by the wall clock as it is set now; of an earlier boot, as it
   * was set at its end. **Units**: nanoseconds since 1970.
   */
  timeNs({ ns, clock }: FileTime): bigint {
    if (clock === undefined) return ns;
    const { boot, setting } = clock;
    const last = boot === this.#file.boot
      ? this.#store.clockSetting
      : this.#settings.get(boot) ?? setting;
    return ns + last - setting;
  }

  /** True if there are edges in the file, and it cannot be read. */
  get isUnreadable(): boolean {
    return this.#indices.length === 0 && this.written.size > 0;
  }

  /** Remarks about both files. */
  get notes(): readonly string[] {
    const mebibytes = MAX_SEARCHED / 2 / 1024 / 1024;
    const partly = this.#indices.filter(({ begin }) => begin > 0).map((
      { generation },
    ) =>
      `only the last ${mebibytes} MiB of ${this.fileName(generation)} are ` +
      "searched; gpioagg record --file reads all of it"
    );
    return [...partly, ...this.#problems];
  }

  /** Searches what the files have more than the last time. */
  async search(run: Run): Promise<void> {
    await this.#file.catchUp(CATCH_UP_MS);
    const search = this.#search.then(() => this.#searchAll(run));
    this.#search = search.catch(() => {});
    await search;
  }

  /**
   * Returns the place from which on all states and edges since a time are found;
   * undefined if there is no file.
   */
  placeBefore(
    timeNs: bigint | undefined,
  ): Omit<FilePosition, "time"> | undefined {
    const [first] = this.#indices;
    if (first === undefined) return undefined;
    if (timeNs !== undefined) {
      for (const { places } of this.#indices.toReversed()) {
        const place = places.findLast(({ time }) =>
          this.timeNs(time) <= timeNs
        );
        if (place !== undefined) return place;
      }
    }
    const { generation, begin } = first;
    return { generation, offset: begin };
  }

  /** Returns the number of a line of which a file says none. */
  findNumber({ scope, name }: EdgeEntry): number {
    if (/^\d{1,5}$/.test(name)) return Number(name);
    for (const { blocks } of this.#store.sources) {
      for (const { lines } of blocks) {
        const line = lines.find(({ aggregator, title }) =>
          aggregator === scope && title === name
        );
        if (line !== undefined) return line.lineNumber;
      }
    }
    const key = lineKey(scope, name);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = FIRST_NUMBER + this.#numbers.size;
      if (this.#numbers.size < MAX_LIVES) this.#numbers.set(key, number);
    }
    return number;
  }

  /**
   * Opens a file; undefined if it is not kept any more, or never was.
   *
   * @throws {Error} If it cannot be read.
   */
  async open(generation: number): Promise<EdgeFileReader | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const current = this.#file.generation;
      if (generation !== current && generation !== current - 1) {
        return undefined;
      }
      // Another one may have the name by now.
      const isSame = () =>
        !this.#file.isRotating && this.#file.generation === current;
      let reader: EdgeFileReader | undefined;
      try {
        reader = await limited(this.#sink.openReader(generation < current));
      } catch (error) {
        if (isSame()) throw error;
        continue;
      }
      if (isSame()) return reader;
      reader?.close();
    }
    throw new Error("it is replaced all the time");
  }

  async #searchAll(run: Run): Promise<void> {
    this.#problems = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { generation } = this.written;
      this.#forget(generation - 1);
      for (const one of [generation - 1, generation]) {
        await this.#searchFile(one, run);
      }
      if (this.written.generation === generation) return;
    }
  }

  /** Forgets what is older than a file, and the lives that ended before it. */
  #forget(oldest: number): void {
    const kept = this.#indices.filter(({ generation }) => generation >= oldest);
    if (kept.length === this.#indices.length) return;
    const last = this.#indices.at(-1);
    this.#indices = kept;
    const first = kept[0]?.places[0]?.time;
    const isContinued = kept.length > 0 || last?.generation === oldest - 1 &&
        last.isWhole;
    if (!isContinued) {
      // What has happened meanwhile is not known.
      this.#there.clear();
      this.#lives = [];
      this.#run = this.#clock = undefined;
    } else if (first !== undefined) {
      const firstNs = this.timeNs(first);
      this.#lives = this.#lives.filter(({ ends }) =>
        ends === undefined || this.timeNs(ends) >= firstNs
      );
    }
  }

  async #searchFile(generation: number, run: Run): Promise<void> {
    let index = this.#indices.find((one) => one.generation === generation);
    if (index?.isWhole) return;
    let reader: EdgeFileReader | undefined;
    try {
      reader = await this.open(generation);
      if (reader === undefined) return;
      const { written } = this;
      const isCurrent = generation === written.generation;
      const end = isCurrent ? written.size : reader.size;
      if (index === undefined) {
        const begin = Math.max(0, reader.size - MAX_SEARCHED / 2);
        index = {
          generation,
          begin,
          searched: begin,
          isWhole: false,
          places: [],
        };
        this.#indices.push(index);
        this.#indices.sort((a, b) => a.generation - b.generation);
      }
      const lines = new FileLines(reader, index.searched, end, SEARCHED_BYTES);
      for (;;) {
        const batch = await limited(lines.next());
        if (batch === undefined) break;
        const one = index;
        await run(atOnce(() => this.#searchLines(batch, one)));
        index.searched = lines.offset;
      }
      index.isWhole = !isCurrent;
    } catch (error) {
      this.#problems.push(
        `${this.fileName(generation)} cannot be read: ${printableError(error)}`,
      );
    } finally {
      reader?.close();
    }
  }

  /** The path of a file, for messages. */
  fileName(generation: number): string {
    return generation < this.#file.generation ? `${this.path}.1` : this.path;
  }

  #searchLines(batch: LineBatch, { generation, places }: FileIndex): void {
    for (const [i, line] of batch.lines.entries()) {
      // Edges are most of a file, and need not be read.
      if (!line.includes(CAUSE)) {
        const entry = tolerantEntry(line);
        if (entry === undefined || "lost" in entry) continue;
        if ("run" in entry) {
          const { run, timeNs: ns, clock } = entry;
          const time = { ns, clock };
          places.push({ generation, offset: batch.fileOffset(i), time });
          if (run !== this.#run) this.#endAll(time);
          this.#run = run;
          this.#setClock(clock);
        } else if ("setting" in entry) {
          this.#setClock(this.#clock && { ...this.#clock, ...entry });
        } else this.#note(entry);
      }
      if (!line.startsWith(RECORD)) this.#lastLine = line;
    }
  }

  #setClock(clock: FileClock | undefined): void {
    this.#clock = clock;
    if (clock === undefined || this.#settings.size >= MAX_LIVES) return;
    this.#settings.set(clock.boot, clock.setting);
  }

  #note(entry: EdgeEntry): void {
    const { scope, name, timeNs: ns, mark } = entry;
    const time = { ns, clock: this.#clock };
    const key = lineKey(scope, name);
    const known = this.#there.get(key);
    if (mark === "ends") {
      if (known !== undefined) known.ends = time;
      this.#there.delete(key);
      return;
    }
    if (known !== undefined && mark === undefined) return;
    if (known !== undefined) known.ends = time;
    if (this.#lives.length >= MAX_LIVES) {
      this.#lives = this.#lives.filter(({ ends }) => ends === undefined);
      if (this.#lives.length >= MAX_LIVES) return;
    }
    const life: FileLife = {
      line: {
        aggregator: scope,
        title: name,
        lineNumber: entry.lineNumber ?? this.findNumber(entry),
        first: packState(entry, undefined),
      },
      begins: mark === "begins" ? time : undefined,
      ends: undefined,
    };
    this.#lives.push(life);
    this.#there.set(key, life);
  }

  /** Another run of the service: the earlier one ended after its last entry. */
  #endAll(until: FileTime): void {
    if (this.#there.size === 0) return;
    const last = tolerantEntry(this.#lastLine);
    const ends = last !== undefined && "value" in last
      ? { ns: last.timeNs + 1n, clock: this.#clock }
      : until;
    for (const life of this.#there.values()) life.ends = ends;
    this.#there.clear();
  }
}

/** Returns what identifies a line in a file. */
export function lineKey(scope: string, name: string): string {
  // No name of an aggregator has a slash.
  return `${scope}/${name}`;
}

/** Returns an entry; undefined for what is not one. */
function tolerantEntry(line: string) {
  try {
    return parseEntry(line, 0);
  } catch {
    return undefined;
  }
}

/** @throws {Error} If a file system hangs. */
export async function limited<T>(promise: Promise<T>): Promise<T> {
  if (!await settlesWithin(promise, FILE_LIMIT_MS)) {
    throw new Error("its file system hangs");
  }
  return await promise;
}
