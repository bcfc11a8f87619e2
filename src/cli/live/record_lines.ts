/**
 * Records lines of a service: from what it keeps, then as it happens.
 *
 * @module
 */
import type { Edge, LineLevel } from "../../client/edges.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import type { SignalValue } from "../../recording/recording.ts";
import {
  type EdgeSource,
  EventBuffer,
  type LiveEvent,
  ReadEdges,
  readPages,
} from "./edge_source.ts";
import { type PresenceChange, readPresence } from "./line_presence.ts";
import { lineKey, selectLines } from "./selection.ts";
import { LineRecorder, type RecordingFile } from "./line_recorder.ts";

/** Time by which edges may be out of order. **Units**: nanoseconds. */
const OVERLAP_NS = 1_000_000_000n;

/** Options of a recording. */
export interface RecordOptions {
  /** Lines, as {@linkcode selectLines} takes them. */
  readonly words: readonly string[];
  /**
   * Begin of the past that is recorded; undefined: none of it.
   * **Units**: nanoseconds since 1970; 0: all that the service keeps.
   */
  readonly fromNs: bigint | undefined;
  /** End of the past; absent: now. **Units**: nanoseconds since 1970. */
  readonly toNs?: bigint;
  /** Set if edges are recorded as they happen, until `ended`. */
  readonly follow: boolean;
  /** Resolves when the recording shall end. */
  readonly ended: Promise<void>;
  readonly files: readonly RecordingFile[];
  readonly program: string;
  /** Receives messages about what is missing. */
  readonly tell: (text: string) => void;
  /** Returns the present time. **Units**: nanoseconds since 1970. */
  readonly now: () => bigint;
}

/** End of a recording. */
interface RecordResult {
  /** Number of changes that were recorded. */
  readonly count: number;
  /** Set if the service ended first. */
  readonly isCutShort: boolean;
}

/**
 * Records until the past is read, or what follows is ended. The files are
 * complete then, whatever happened.
 *
 * @throws {Error} If there is no such line, the service fails, or a file cannot
 * be written.
 */
export async function recordLines(
  source: EdgeSource,
  options: RecordOptions,
): Promise<RecordResult> {
  const { words, fromNs, follow, now } = options;
  if (!follow) return await recordPast(source, options);
  await using events = new EventBuffer(source);
  void options.ended.then(() => events.stop());
  const taken = await events.take();
  if (taken === undefined) {
    throw new Error(
      "Nothing is recorded: " +
        (await isSettled(options.ended)
          ? "the recording was ended before the service had answered"
          : "the service has ended"),
    );
  }
  const [first, ...others] = taken;
  if (first?.event !== "snapshot") {
    throw new Error("The service does not begin its events with a snapshot");
  }
  const startNs = now();
  const read = new ReadEdges();
  const recorder = fromNs === undefined
    ? new LineRecorder(options.files, {
      lines: selectLines(words, first.aggregators),
      values: collectValues(first.aggregators),
      startNs,
      program: options.program,
    })
    : await recorderOfPast(source, options, first.aggregators, read);
  const live = new LiveRecorder(source, recorder, options, {
    read,
    startNs: fromNs === undefined ? startNs : read.toNs,
  });
  await live.take(others);
  for (;;) {
    const taken = await events.take();
    if (taken === undefined) break;
    await live.take(taken);
  }
  const isCutShort = !await isSettled(options.ended);
  const endNs = now();
  if (!isCutShort) await live.finish(endNs);
  recorder.end(endNs);
  return { count: recorder.count, isCutShort };
}

async function recordPast(
  source: EdgeSource,
  options: RecordOptions,
): Promise<RecordResult> {
  const read = new ReadEdges();
  const recorder = await recorderOfPast(
    source,
    options,
    await source.list(),
    read,
  );
  recorder.end(read.toNs);
  return { count: recorder.count, isCutShort: false };
}

/** Writes what the service keeps; `read` gets what that was. */
async function recorderOfPast(
  source: EdgeSource,
  { words, fromNs, toNs, files, program, tell }: RecordOptions,
  aggregators: readonly AggregatorState[],
  read: ReadEdges,
): Promise<LineRecorder> {
  let recorder: LineRecorder | undefined;
  let lost = 0;
  let changes: readonly PresenceChange[] = [];
  const notes = new Set<string>();
  for await (const page of readPages(source, formatQuery(fromNs, toNs))) {
    if (recorder === undefined) {
      const presence = readPresence(page.lines);
      ({ changes } = presence);
      recorder = new LineRecorder(files, {
        lines: selectLines(
          words,
          withPast(aggregators, [...page.lines, ...page.edges]),
        ),
        values: presence.values,
        startNs: BigInt(page.from),
        program,
      });
    }
    lost += page.lost;
    for (const note of page.notes ?? []) notes.add(note);
    read.add(page);
    changes = addEdges(recorder, page.edges, changes);
  }
  addChanges(recorder!, changes);
  for (const note of notes) tell(`the service says: ${note}`);
  if (lost > 0) tell(`${lost} older edges are not kept any more`);
  return recorder!;
}

/** Adds edges, and the lines that appear or disappear before them; returns the rest. */
function addEdges(
  recorder: LineRecorder,
  edges: readonly Edge[],
  changes: readonly PresenceChange[],
): readonly PresenceChange[] {
  let begun = 0;
  let next = 0;
  for (const [i, { time }] of edges.entries()) {
    const timeNs = changes.length > next ? BigInt(time) : 0n;
    let end = next;
    while (end < changes.length && changes[end]!.timeNs <= timeNs) end++;
    if (end === next) continue;
    recorder.add(edges.slice(begun, i));
    addChanges(recorder, changes.slice(next, end));
    begun = i;
    next = end;
  }
  recorder.add(edges.slice(begun));
  return changes.slice(next);
}

function addChanges(
  recorder: LineRecorder,
  changes: readonly PresenceChange[],
): void {
  for (const { key, value, timeNs } of changes) {
    recorder.set(new Map([[key, value]]), timeNs);
  }
}

/** Feeds events to a recorder. */
class LiveRecorder {
  readonly #source: EdgeSource;
  readonly #recorder: LineRecorder;
  readonly #options: RecordOptions;
  readonly #read: ReadEdges;
  readonly #startNs: bigint;
  /** Time of the last edge that came. */
  #lastNs = 0n;

  constructor(
    source: EdgeSource,
    recorder: LineRecorder,
    options: RecordOptions,
    { read, startNs }: { read: ReadEdges; startNs: bigint },
  ) {
    this.#source = source;
    this.#recorder = recorder;
    this.#options = options;
    this.#read = read;
    this.#startNs = startNs;
  }

  async take(events: readonly LiveEvent[]): Promise<void> {
    for (const event of events) {
      switch (event.event) {
        case "edges":
          this.#recorder.add(
            event.edges.filter((edge) => !this.#read.has(edge)),
          );
          this.#read.note(event.edges);
          this.#lastNs = BigInt(event.edges.at(-1)!.time);
          break;
        case "removed":
          this.#recorder.forget(this.#options.now(), event.aggregator);
          break;
        case "created":
          this.#recorder.set(
            collectValues(await this.#source.list()),
            this.#options.now(),
          );
          break;
        case "lost":
          await this.#recover(event.count);
      }
    }
  }

  /** Adds what has happened, but has not come yet. */
  async finish(nowNs: bigint): Promise<void> {
    const earliestNs = earlier(this.#lastNs, nowNs) - OVERLAP_NS;
    const fromNs = earliestNs > this.#startNs ? earliestNs : this.#startNs;
    const query = {
      // The wall clock may have been set back since the beginning.
      from: String(fromNs > nowNs ? nowNs - OVERLAP_NS : fromNs),
      to: String(nowNs),
    };
    for await (const { edges } of readPages(this.#source, query)) {
      this.#recorder.add(edges.filter((edge) => this.#read.isNew(edge)));
    }
  }

  async #recover(count: number): Promise<void> {
    const { tell, now } = this.#options;
    tell(`${count} events were lost: the values meanwhile are not known`);
    this.#recorder.forget(now());
    this.#recorder.set(collectValues(await this.#source.list()), now());
  }
}

function earlier(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

function formatQuery(
  fromNs = 0n,
  toNs?: bigint,
): { from?: string; to?: string } {
  return {
    ...(fromNs === 0n ? {} : { from: String(fromNs) }),
    ...(toNs === undefined ? {} : { to: String(toNs) }),
  };
}

/** Adds lines of which only the past is known. */
function withPast(
  aggregators: readonly AggregatorState[],
  levels: readonly LineLevel[],
): AggregatorState[] {
  const all = new Map(aggregators.map((one) => [one.name, one]));
  for (const { aggregator, line, lineNumber, direction } of levels) {
    const one = all.get(aggregator) ?? {
      name: aggregator,
      lease: "none",
      presentation: "",
      connected: false,
      lines: [],
    };
    if (one.lines.some((known) => known.lineNumber === lineNumber)) continue;
    const name = line === String(lineNumber) ? "" : line;
    all.set(aggregator, {
      ...one,
      lines: [...one.lines, { lineNumber, name, source: "", direction }],
    });
  }
  return [...all.values()];
}

function collectValues(
  aggregators: readonly AggregatorState[],
): Map<string, SignalValue> {
  return new Map(
    aggregators.flatMap(({ name, lines }) =>
      lines.map(({ lineNumber, value }) => [
        lineKey(name, lineNumber),
        value === 0 || value === 1 ? value : undefined,
      ])
    ),
  );
}

/** Returns true if a promise is settled already. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  const not = Symbol();
  return await Promise.race([promise, Promise.resolve(not)]) !== not;
}
