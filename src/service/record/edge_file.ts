/**
 * The record of edges as a file of bounded size, for the time after a crash: JSON
 * lines as `gpioagg record --jsonl` writes them, out of the ring of edges.
 *
 * @module
 */
import { atOnce } from "../../reactor/pieces.ts";
import { stateAfter, stateBefore } from "../../edges/record.ts";
import { jsonText } from "../../recording/table.ts";
import type { SignalValue } from "../../recording/recording.ts";
import { utcText } from "../../recording/time_text.ts";
import { printableError, printableJson } from "../../text/printable.ts";
import { EdgeCursor } from "./edge_cursor.ts";
import type { RecordedBlock, RecordedLine } from "./edge_source.ts";
import type { EdgeStore } from "./edge_store.ts";
import { HistoryReader } from "./history.ts";
import {
  causeText,
  type StoredEdge,
  valueOf,
  wallTime,
} from "./stored_edge.ts";

/** Interval of looks for new edges. **Units**: milliseconds. */
const LOOK_MS = 100;
/** Interval of attempts after a failed one. **Units**: milliseconds. */
const RETRY_MS = 2000;
/** Time after which a write is reported as hanging. **Units**: milliseconds. */
const HANG_MS = 10_000;
/** Interval of reports of edges that are missing. **Units**: milliseconds. */
const LOSS_MS = 60_000;
/** Edges that are read at a time: one or two milliseconds with their text. */
const EDGES_PER_PIECE = 512;
/** Text that is written at a time. **Units**: UTF-16 code units. */
const TEXT_PER_WRITE = 64 * 1024;

/** A file that is appended to, and the older one beside it. */
export interface EdgeSink {
  /** Size of the file. **Units**: bytes. */
  readonly size: number;
  /** Appends whole lines: all of them, or it rejects with the reason. */
  append(bytes: Uint8Array): Promise<void>;
  /** Keeps the file as the older one, and begins another. */
  rotate(): Promise<void>;
  /** Ends the use of the file. */
  close(): void;
}

/** Settings of an {@linkcode EdgeFile}. */
export interface EdgeFileOptions {
  /** Path for messages. */
  readonly path: string;
  /** Size limit of the file and the older one together. **Units**: bytes. */
  readonly limit: number;
  /** Receives messages about the file. */
  readonly tell: (text: string) => void;
  /** Intervals instead of the usual ones. **Units**: milliseconds. */
  readonly intervals?: { readonly look: number; readonly retry: number };
}

/**
 * Writes all edges of a service to a file, later than they happen. While the
 * file cannot be written they wait in the ring; those that are overwritten
 * meanwhile are counted, in the file too.
 */
export class EdgeFile {
  readonly #store: EdgeStore;
  readonly #sink: EdgeSink;
  readonly #options: EdgeFileOptions;
  readonly #cursor: EdgeCursor;
  readonly #looks: { readonly look: number; readonly retry: number };
  /** Lines that are there, and their values as written or about to be. */
  readonly #values = new Map<RecordedLine, SignalValue>();
  readonly #blocks = new Set<RecordedBlock>();
  /** Values before the text that waits, of lines that it changes. */
  readonly #before = new Map<RecordedLine, SignalValue | "none">();
  #text = "";
  /** Times of the last entry and of the first that waits. **Units**: ns, 1970. */
  #timeNs = 0n;
  #headNs = 0n;
  /** The file is a new one: it begins with all values. */
  #isNew = false;
  #isFailing = false;
  /** Edges that are missing, and were not reported yet. */
  #lost = 0;
  /** Time of that report. **Units**: ms on the monotonic clock. */
  #lossToldAt = -Infinity;
  #isEnding = false;
  #wake: () => void = () => {};
  readonly #over: Promise<void>;

  /** Begins to write what `store` will have. **Ownership**: of `sink`. */
  constructor(store: EdgeStore, sink: EdgeSink, options: EdgeFileOptions) {
    this.#store = store;
    this.#sink = sink;
    this.#options = options;
    this.#looks = options.intervals ?? { look: LOOK_MS, retry: RETRY_MS };
    this.#cursor = new EdgeCursor(store);
    this.#over = this.#run();
  }

  /**
   * Writes the rest, and ends.
   *
   * @param limitMs Time limit: a file system may hang.
   */
  async close(limitMs: number): Promise<void> {
    this.#isEnding = true;
    this.#wake();
    let timer;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([this.#over, limit]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    for (let isLast = false; !isLast;) {
      isLast = this.#isEnding;
      const isWritten = await this.#look();
      if (!isLast && !this.#isEnding) {
        await this.#pause(isWritten ? this.#looks.look : this.#looks.retry);
      }
    }
    this.#sink.close();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Writes what is new; false if it cannot be written now. */
  async #look(): Promise<boolean> {
    // What could not be written comes first.
    if (!await this.#flush()) return false;
    for (const block of this.#liveBlocks()) {
      if (this.#blocks.has(block)) continue;
      this.#began(block);
      if (!await this.#flushIfLong()) return false;
    }
    while (this.#cursor.isBehind) {
      const { edges, lost } = this.#cursor.read(EDGES_PER_PIECE);
      if (edges.length === 0 && lost === 0) break;
      if (lost > 0) this.#missed(lost, edges);
      for (const edge of edges) this.#edge(edge);
      if (!await this.#flushIfLong()) return false;
      // Others are served between two pieces.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.#endBlocks();
    return await this.#flush();
  }

  *#liveBlocks(): Generator<RecordedBlock> {
    for (const { blocks } of this.#store.sources) {
      for (const block of blocks) if (block.end === undefined) yield block;
    }
  }

  #began(block: RecordedBlock): void {
    this.#blocks.add(block);
    for (const line of block.lines) {
      this.#values.set(line, undefined);
      this.#before.set(line, "none");
      this.#entry(line, valueOf(line.first), block.begin, "");
    }
  }

  /** Lines of aggregators that ended have no value from now on. */
  #endBlocks(): void {
    if (this.#cursor.isBehind) return;
    const live = new Set(this.#liveBlocks());
    for (const block of this.#blocks) {
      if (live.has(block)) continue;
      this.#blocks.delete(block);
      for (const line of block.lines) {
        if (this.#values.get(line) !== undefined) {
          this.#entry(line, undefined, block.end ?? 0, "");
        }
        this.#values.delete(line);
      }
    }
  }

  #edge({ line, bits, time }: StoredEdge): void {
    const value = valueOf(stateAfter(bits));
    if (this.#values.get(line) === value) return;
    this.#entry(line, value, time, causeText(bits));
  }

  /** Edges are missing before these: tells what lines are at the first. */
  #missed(lost: number, edges: readonly StoredEdge[]): void {
    this.#lost += lost;
    const { offset } = this.#store;
    const time = edges[0]?.time;
    const at = time === undefined ? this.#timeNs : wallTime(time, offset);
    if (this.#text === "") this.#headNs = at;
    const loss = { event: "lost", count: lost, at: utcText(at) };
    this.#text += `${printableJson(loss)}\n`;
    const from = time ?? Number(this.#timeNs - offset);
    const { lines } = atOnce(
      new HistoryReader(this.#store, { from, to: from, filter: undefined })
        .begin(),
    );
    const values = new Map(
      lines.map(({ line, state }) => [line, valueOf(state)]),
    );
    // The ring may have gone on: these are sure.
    for (const { line, bits } of edges.toReversed()) {
      values.set(line, valueOf(stateBefore(bits)));
    }
    for (const [line, known] of this.#values) {
      const value = values.get(line);
      if (value !== known) this.#entry(line, value, from, "");
    }
  }

  #entry(
    line: RecordedLine,
    value: SignalValue,
    time: number,
    cause: string,
  ): void {
    if (!this.#before.has(line)) {
      this.#before.set(line, this.#values.get(line));
    }
    this.#values.set(line, value);
    this.#timeNs = wallTime(time, this.#store.offset);
    if (this.#text === "") this.#headNs = this.#timeNs;
    this.#text += textOf(line, value, this.#timeNs, cause);
  }

  async #flushIfLong(): Promise<boolean> {
    return this.#text.length < TEXT_PER_WRITE || await this.#flush();
  }

  /** Writes the text that waits; false if it cannot be written now. */
  async #flush(): Promise<boolean> {
    if (this.#text === "") return true;
    const hang = setTimeout(() => this.#fail("its file system hangs"), HANG_MS);
    try {
      await this.#write(new TextEncoder().encode(this.#text));
    } catch (error) {
      this.#fail(printableError(error));
      return false;
    } finally {
      clearTimeout(hang);
    }
    this.#text = "";
    this.#before.clear();
    this.#tellWritten();
    return true;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const limit = this.#options.limit / 2;
    if (this.#sink.size > 0 && this.#sink.size + bytes.length > limit) {
      await this.#sink.rotate();
      this.#isNew = true;
    }
    const head = new TextEncoder().encode(this.#isNew ? this.#head() : "");
    // Otherwise each line's value comes with its next edge.
    const hasRoom = head.length + bytes.length <= limit;
    await this.#sink.append(hasRoom ? joined(head, bytes) : bytes);
    this.#isNew = false;
  }

  #fail(reason: string): void {
    const { path, tell } = this.#options;
    if (!this.#isFailing) {
      tell(
        `Cannot write the record of edges to ${path}: ${reason}; it is ` +
          "retried, and edges wait in memory",
      );
    }
    this.#isFailing = true;
  }

  #tellWritten(): void {
    const { path, tell } = this.#options;
    const now = performance.now();
    const isDue = this.#isFailing || this.#isEnding ||
      now - this.#lossToldAt >= LOSS_MS;
    if (!isDue) return;
    if (this.#isFailing) tell(`the record of edges ${path} is written again`);
    if (this.#lost > 0) {
      tell(
        `the record of edges ${path}: ${this.#lost} edges are missing, which ` +
          "were more than memory holds",
      );
      this.#lossToldAt = now;
    }
    this.#isFailing = false;
    this.#lost = 0;
  }

  /** Values before the text that waits: the beginning of a new file. */
  #head(): string {
    let text = "";
    for (const [line, now] of this.#values) {
      const before = this.#before.has(line) ? this.#before.get(line) : now;
      if (before !== "none") text += textOf(line, before, this.#headNs, "");
    }
    return text;
  }
}

function textOf(
  { aggregator, title }: RecordedLine,
  value: SignalValue,
  timeNs: bigint,
  cause: string,
): string {
  return jsonText({ timeNs, scope: aggregator, name: title, value, cause });
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
