/**
 * The record of edges as a file of bounded size, for the time after a crash: JSON
 * lines as `gpioagg record --jsonl` writes them, out of the ring of edges.
 *
 * @module
 */
import { settlesWithin } from "../../async/wait.ts";
import { atOnce } from "../../reactor/pieces.ts";
import { type LineState, stateAfter, stateBefore } from "../../edges/record.ts";
import { joinBytes } from "../../text/join_bytes.ts";
import { reasonOn } from "../../text/reason.ts";
import { EdgeCursor } from "./edge_cursor.ts";
import {
  clockText,
  edgeText,
  lossText,
  recordText,
  type StateKind,
  stateText,
} from "./edge_file_text.ts";
import type { EdgeSink, WrittenEdges } from "./edge_sink.ts";
import type { RecordedBlock, RecordedLine } from "./edge_source.ts";
import type { EdgeStore } from "./edge_store.ts";
import { absentState, HistoryReader } from "./history.ts";
import { isEdge, type StoredEdge, wallTime } from "./stored_edge.ts";

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

/**
 * All states are repeated after so much text, for readers that begin within.
 * **Units**: bytes.
 */
const STATES_EACH_BYTES = 1024 * 1024;
/** States take at most this part of the file: one of so many. */
const STATES_PART = 8;

/** A line's block that begins or ends. */
interface Mark {
  readonly block: RecordedBlock;
  /** **Units**: nanoseconds, monotonic. */
  readonly time: number;
  readonly isEnd: boolean;
}

/** Settings of an {@linkcode EdgeFile}. */
interface EdgeFileOptions {
  /** Path for messages. */
  readonly path: string;
  /** Size limit of the file and the older one together. **Units**: bytes. */
  readonly limit: number;
  /** Identifies this boot of the machine; absent: unknown. */
  readonly boot?: string;
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
  /** Identifies this run of the service. */
  readonly #runId = crypto.randomUUID().slice(0, 8);
  /** Setting of the wall clock for entries that follow, and for the first. */
  #setting: bigint;
  #headSetting: bigint;
  /** Lines that are there, and their states as written or about to be. */
  readonly #states = new Map<RecordedLine, LineState>();
  readonly #begun = new WeakSet<RecordedBlock>();
  readonly #ended = new WeakSet<RecordedBlock>();
  /** States before the text that waits, of lines that it changes. */
  readonly #before = new Map<RecordedLine, LineState | "none">();
  #text = "";
  /** Blocks that the text has. */
  #marked: Mark[] = [];
  readonly #writtenBegun = new WeakSet<RecordedBlock>();
  readonly #writtenEnded = new WeakSet<RecordedBlock>();
  #written: WrittenEdges;
  #generation = 0;
  #isRotating = false;
  /** Bytes of the file since all states were written, and of those. */
  #sinceStates = 0;
  #statesBytes = 0;
  /** Times of the last entry and of the first that waits. **Units**: ns, 1970. */
  #timeNs = 0n;
  #headNs = 0n;
  /** The file, or this run in it, is a new one: it begins with all states. */
  #isNew = true;
  #isFailing = false;
  /** Edges that are missing, and were not reported yet. */
  #lost = 0;
  /** Time of that report. **Units**: ms on the monotonic clock. */
  #lossToldAt = -Infinity;
  #isEnding = false;
  #wake: () => void = () => {};
  /** Called after a look that begins from now on. */
  #waiting: (() => void)[] = [];
  readonly #over: Promise<void>;

  /** Begins to write what `store` will have. **Ownership**: of `sink`. */
  constructor(store: EdgeStore, sink: EdgeSink, options: EdgeFileOptions) {
    this.#store = store;
    this.#sink = sink;
    this.#options = options;
    this.#looks = options.intervals ?? { look: LOOK_MS, retry: RETRY_MS };
    this.#cursor = new EdgeCursor(store);
    this.#setting = this.#headSetting = store.clockSetting;
    this.#written = this.#nowWritten();
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
    await settlesWithin(this.#over, limitMs);
  }

  /** Identifies this boot of the machine, in the file too. */
  get boot(): string {
    return this.#options.boot ?? this.#runId;
  }

  /** Rises when the file becomes the older one, and another begins. */
  get generation(): number {
    return this.#generation;
  }

  /** True while the file becomes the older one. */
  get isRotating(): boolean {
    return this.#isRotating;
  }

  /** Contents of the file by now. */
  get written(): WrittenEdges {
    return this.#written;
  }

  /**
   * Writes what has happened by now, if that can be.
   *
   * @param limitMs Time limit.
   * @returns False if it is not written.
   */
  async catchUp(limitMs: number): Promise<boolean> {
    if (this.#isFailing || this.#isEnding) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    this.#wake();
    return await settlesWithin(promise, limitMs) && !this.#isFailing;
  }

  async #run(): Promise<void> {
    for (let isLast = false; !isLast;) {
      isLast = this.#isEnding;
      const waiting = this.#waiting;
      this.#waiting = [];
      const isWritten = await this.#look();
      for (const go of waiting) go();
      if (!isLast && !this.#isEnding) {
        await this.#pause(isWritten ? this.#looks.look : this.#looks.retry);
      }
    }
    this.#sink.close();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.length > 0) return resolve();
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
    while (this.#cursor.isBehind) {
      const { edges, lost } = this.#cursor.readInOrder(EDGES_PER_PIECE);
      if (edges.length === 0 && lost === 0) return true;
      this.#take(edges, lost);
      if (!await this.#flushIfLong()) return false;
      // Others are served between two pieces.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    for (const mark of this.#marks()) {
      this.#mark(mark);
      if (!await this.#flushIfLong()) return false;
    }
    return await this.#flush();
  }

  /** Writes edges, and lines that begin or end before each. */
  #take(edges: readonly StoredEdge[], lost: number): void {
    const marks = this.#marks();
    let next = 0;
    const markTo = (time: number) => {
      for (; next < marks.length && marks[next]!.time <= time; next++) {
        this.#mark(marks[next]!);
      }
    };
    if (lost > 0) {
      markTo(edges[0]?.time ?? -Infinity);
      this.#missed(lost, edges);
    }
    for (const edge of edges) {
      markTo(edge.time);
      const { line, bits, time } = edge;
      // One of the kernel may be older than its line's begin.
      if (!this.#states.has(line)) {
        const begin = marks.find(({ block, isEnd }) =>
          !isEnd && block.lines.includes(line)
        );
        if (begin !== undefined) this.#mark(begin);
      }
      const after = stateAfter(bits);
      if (isEdge(edge) || this.#states.get(line) !== after) {
        this.#entry(
          line,
          after,
          time,
          (timeNs) => edgeText(edge, timeNs),
        );
      }
    }
  }

  /** Lines that begin or end, and were not written yet, by time. */
  #marks(): Mark[] {
    const marks: Mark[] = [];
    for (const { blocks } of this.#store.sources) {
      for (const block of blocks) {
        const { begin, end } = block;
        if (!this.#begun.has(block)) {
          marks.push({ block, time: begin, isEnd: false });
        }
        if (end !== undefined && !this.#ended.has(block)) {
          marks.push({ block, time: end, isEnd: true });
        }
      }
    }
    return marks.sort((a, b) =>
      a.time - b.time || Number(b.isEnd) - Number(a.isEnd)
    );
  }

  #mark(mark: Mark): void {
    const { block, time, isEnd } = mark;
    const known = isEnd ? this.#ended : this.#begun;
    if (known.has(block)) return;
    known.add(block);
    this.#marked.push(mark);
    for (const line of block.lines) {
      if (isEnd) {
        this.#state(line, absentState(line.first), time, "ends");
        this.#states.delete(line);
      } else {
        this.#before.set(line, "none");
        this.#state(line, line.first, time, "begins");
      }
    }
  }

  /** Edges are missing before these: has the states of lines at the first. */
  #missed(lost: number, edges: readonly StoredEdge[]): void {
    this.#lost += lost;
    const { offset } = this.#store;
    const time = edges[0]?.time;
    const at = time === undefined ? this.#timeNs : wallTime(time, offset);
    this.#add(lossText(lost, at), at);
    const from = time ?? Number(this.#timeNs - offset);
    const { lines } = atOnce(
      new HistoryReader(this.#store, { from, to: from, filter: undefined })
        .begin(),
    );
    const states = new Map(lines.map(({ line, state }) => [line, state]));
    // The ring may have gone on: these are sure.
    for (const { line, bits } of edges.toReversed()) {
      states.set(line, stateBefore(bits));
    }
    for (const [line, known] of this.#states) {
      const state = states.get(line) ?? absentState(known);
      if (state !== known) this.#state(line, state, from, "value");
    }
  }

  #state(
    line: RecordedLine,
    state: LineState,
    time: number,
    kind: StateKind,
  ): void {
    this.#entry(
      line,
      state,
      time,
      (timeNs) => stateText(line, state, timeNs, kind),
    );
  }

  #entry(
    line: RecordedLine,
    state: LineState,
    time: number,
    formatTime: (timeNs: bigint) => string,
  ): void {
    if (!this.#before.has(line)) {
      this.#before.set(line, this.#states.get(line) ?? "none");
    }
    this.#states.set(line, state);
    this.#timeNs = wallTime(time, this.#store.offset);
    this.#add(formatTime(this.#timeNs), this.#timeNs);
  }

  #add(text: string, timeNs: bigint): void {
    const { clockSetting: setting } = this.#store;
    if (setting !== this.#setting) {
      this.#setting = setting;
      // The first text of a new file needs none, but may not come in one.
      text = clockText(setting, timeNs) + text;
    }
    if (this.#text === "") {
      this.#headNs = timeNs;
      this.#headSetting = setting;
    }
    this.#text += text;
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
      this.#fail(reasonOn(this.#options.path, error));
      return false;
    } finally {
      clearTimeout(hang);
    }
    this.#text = "";
    this.#before.clear();
    for (const { block, isEnd } of this.#marked) {
      (isEnd ? this.#writtenEnded : this.#writtenBegun).add(block);
    }
    this.#marked = [];
    this.#written = this.#nowWritten();
    this.#tellWritten();
    return true;
  }

  #nowWritten(): WrittenEdges {
    return {
      generation: this.#generation,
      size: this.#sink.size,
      next: this.#cursor.places,
      hasBegun: (block) => this.#writtenBegun.has(block),
      hasEnded: (block) => this.#writtenEnded.has(block),
    };
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const limit = this.#options.limit / 2;
    if (!await this.#sink.isWhole()) this.#restart();
    const { size } = this.#sink;
    if (size > 0 && size + bytes.length > limit) {
      this.#isRotating = true;
      try {
        await this.#sink.rotate();
        this.#generation++;
      } finally {
        this.#isRotating = false;
      }
      this.#isNew = true;
    }
    const isDue = this.#isNew ||
      this.#sinceStates + bytes.length >
        Math.max(STATES_EACH_BYTES, STATES_PART * this.#statesBytes);
    const head = new TextEncoder().encode(isDue ? this.#head() : "");
    // Otherwise each line's state comes with its next edge.
    const hasRoom = this.#sink.size + head.length + bytes.length <= limit;
    await this.#sink.append(hasRoom ? joinBytes(head, bytes) : bytes);
    this.#isNew = false;
    if (isDue) {
      this.#sinceStates = 0;
      this.#statesBytes = head.length;
    }
    this.#sinceStates += bytes.length;
  }

  /** Another process took the file away: the record goes on in another one. */
  #restart(): void {
    this.#sink.restart();
    this.#generation++;
    this.#isNew = true;
    if (this.#isFailing) return;
    const { path, tell } = this.#options;
    tell(
      `the record of edges ${path} was removed, moved or truncated: it begins ` +
        "again",
    );
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

  /** States before the text that waits: the beginning of a new file. */
  #head(): string {
    const clock = { boot: this.boot, setting: this.#headSetting };
    let text = recordText(this.#runId, clock, this.#headNs);
    const lines = new Set([...this.#states.keys(), ...this.#before.keys()]);
    for (const line of lines) {
      const state = this.#before.get(line) ?? this.#states.get(line);
      if (state === undefined || state === "none") continue;
      text += stateText(line, state, this.#headNs, "value");
    }
    return text;
  }
}
