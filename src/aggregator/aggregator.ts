/**
 * The aggregator: one synthetic controller made of lines from anywhere.
 *
 * @module
 */
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../config/specification.ts";
import { lineTitle } from "../config/specification.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { EdgeRecorder } from "../edges/edge_recorder.ts";
import type { LineState } from "../edges/record.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { atOnce, inPieces, type Pieces, Undo } from "../reactor/pieces.ts";
import { AggregatorLine } from "./aggregator_line.ts";
import { type FdStore, goneFdName, guestFdName } from "./restart/fd_store.ts";
import { type ForceReporter, type ForceRequest, Forces } from "./forces.ts";
import { GuestRequests } from "./guest_requests.ts";
import { GuestTeardown } from "./guest_teardown.ts";
import { Guards } from "./guards.ts";
import type { Interlocks } from "./rules/interlock.ts";
import type { LineDirectory } from "./sharing/line_directory.ts";
import type {
  LineReporter,
  ReportedLine,
  UnsafeLine,
} from "./line_reporter.ts";
import { innermost, type LineSource } from "./line_source.ts";
import { guestNames } from "./names.ts";
import { unknownLine } from "./unknown_line.ts";

/** Opens the source of one line. @throws If it cannot be had. */
type SourceOpener = (specification: LineSpecification) => LineSource;

/** Record of edges, and what of them is recorded. */
export interface EdgeRecord {
  readonly recorder: EdgeRecorder;
  /** True to record inputs that their guests do not watch. */
  readonly withInputs: boolean;
}

/** Begin of the record of an aggregator's lines. */
export interface RecordBegin {
  readonly lines: readonly AggregatorLine[];
  /** Id of the first line; the others follow. */
  readonly firstId: number;
  /** States of the lines, before any edge that is recorded. */
  readonly states: readonly LineState[];
  /** Time of these states. **Units**: nanoseconds, monotonic. */
  readonly time: number;
}

/** Surroundings of an aggregator. */
export interface AggregatorContext {
  loop: EventLoop;
  /** Clock of the turns of `loop`, in milliseconds; absent: the system's. */
  now?: () => number;
  openSource: SourceOpener;
  /** Directory for lines that follow its lines. */
  directory: LineDirectory;
  /** The interlocks that its lines are in. */
  interlocks: Interlocks;
  /** Callbacks for what the rules did. */
  reporter: AggregatorReporter;
  /** Keeps across a restart of this process that a guest was served. */
  store?: FdStore | undefined;
  /** Records the edges of its lines; absent: they are not recorded. */
  record?: EdgeRecord | undefined;
  /** Reports lines whose edges are recorded, before they have any, in pieces. */
  recorded?: (begin: RecordBegin) => Pieces;
}

/** Time in which the guest of an earlier process can come back. */
const RETURN_LIMIT_MS = 60_000;

/** Receiver of what the rules of an aggregator's lines did. */
export interface AggregatorReporter extends LineReporter, ForceReporter {
  /** A line got its safe value because the guest was silent for too long. */
  silent(line: ReportedLine): void;
  /** The guest of an earlier process did not come back. */
  notBack(limitMs: number): void;
}

/**
 * An ordered set of lines with names and rules.
 *
 * **Ownership**: owns its lines; disposing applies their rules for a missing
 * guest and lets the host lines go.
 */
export class Aggregator implements Disposable {
  readonly name: string;
  /** In lineNumber order. */
  readonly lines: readonly AggregatorLine[];
  /** The lines by name, once one was looked for. */
  #byName: ReadonlyMap<string, AggregatorLine> | undefined;
  readonly #context: AggregatorContext;
  readonly #guards: Guards;
  /** Set if it is kept that a guest is served. */
  #isGuestKept = false;
  /** Set if it is kept that a gone guest's rules may not hold yet. */
  #isGoneKept = false;
  #isOver = false;
  /** Waits for the guest of an earlier process. */
  #wait: Timer | undefined;
  #hasGuest = false;
  readonly #forces: Forces;
  readonly #requests: GuestRequests;

  private constructor(
    name: string,
    lines: readonly AggregatorLine[],
    context: AggregatorContext,
  ) {
    this.name = name;
    this.lines = lines;
    this.#context = context;
    const { loop, reporter } = context;
    this.#guards = new Guards(
      lines,
      loop,
      (line) => reporter.silent(line),
      context.now,
    );
    this.#guards.update();
    this.#forces = new Forces(name, lines, {
      loop,
      reporter,
      store: context.store,
      hasGuest: () => this.#hasGuest || this.awaitsGuest,
      isSilent: (line) => this.#guards.isSilent(line),
    });
    this.#requests = new GuestRequests(name, lines, context.store);
    this.#awaitGuest();
  }

  /**
   * Takes all lines, names them, and puts each where its specification starts
   * it. When one cannot be had, none is kept.
   *
   * A line is a piece, since each costs system calls. Nothing finds the lines
   * before the last piece but their own interlocks, which count them from the
   * moment on that all are taken.
   *
   * @throws {ConfigError} If two lines ask for one name.
   * @throws {Error} If a line cannot be had; the message quotes its SPEC.
   */
  static *opening(
    { name: aggregator, lines: specifications }: AggregatorSpecification,
    context: AggregatorContext,
  ): Pieces<Aggregator> {
    const { openSource, directory, interlocks, reporter, loop, record } =
      context;
    // What was started goes where its rules say, if the rest cannot be had; the
    // others are let go as they are, unless the next process takes all of them.
    const undo = new Undo();
    try {
      const sources: LineSource[] = [];
      const lines: AggregatorLine[] = [];
      const teardown = new GuestTeardown(loop, context.now);
      let started = 0;
      undo.add(() => interlocks.remove(aggregator));
      for (const [i, specification] of specifications.entries()) {
        const source = openSource(specification);
        sources.push(source);
        undo.add(() => {
          if (lines[i] === undefined) source[Symbol.dispose]();
          else if (i < started) lines[i][Symbol.dispose]();
          else lines[i].drop();
        });
        yield;
      }
      const names = guestNames(specifications.map((line, i) => ({
        line,
        own: sources[i]!.name,
      })));
      const firstId = record?.recorder.takeIds(specifications.length) ?? 0;
      const time = record?.recorder.now ?? 0;
      for (const [i, specification] of specifications.entries()) {
        const line = new AggregatorLine(
          names[i]!,
          specification,
          sources[i]!,
          loop,
        );
        line.edges.lineNumber = i;
        line.reports.reporter = reporter;
        line.useTeardown(teardown);
        if (record !== undefined) {
          const { recorder, withInputs } = record;
          line.edges.record(recorder, firstId + i, withInputs);
        }
        lines.push(line);
      }
      const states = lines.map(({ edges }) => edges.state);
      interlocks.add(aggregator, lines);
      if (record !== undefined && context.recorded !== undefined) {
        // Also what the start of lines does, or its failure.
        yield* context.recorded({ lines, firstId, states, time });
      }
      for (const line of lines) {
        started++;
        start(line);
        line.heard();
        yield;
      }
      undo.add(() => directory.remove(aggregator));
      directory.add(aggregator, lines);
      const made = new Aggregator(aggregator, lines, context);
      undo.clear();
      return made;
    } finally {
      if (context.store?.leaves !== true) yield* undo.run();
    }
  }

  /** All pieces of {@linkcode Aggregator.opening} at once. */
  static open(
    specification: AggregatorSpecification,
    context: AggregatorContext,
  ): Aggregator {
    return atOnce(Aggregator.opening(specification, context));
  }

  /**
   * Has other rules from now on: one specification per line, in order.
   *
   * @throws {Error} If a lane would go on with the old ones.
   */
  changeRules(specifications: readonly LineSpecification[]): void {
    for (const [i, { specification }] of this.lines.entries()) {
      const next = specifications[i]!;
      const isOwn = next.safe === specification.safe &&
        next.onDisconnect === specification.onDisconnect;
      if (specification.source.kind === "lane" && !isOwn) {
        throw new Error(
          `${lineTitle(next)}: safe and on-disconnect cannot change while ` +
            `the chip's own thread has the line`,
        );
      }
    }
    for (const [i, line] of this.lines.entries()) {
      line.changeRules(specifications[i]!);
    }
    this.#guards.update();
  }

  /**
   * Holds lines at values: all, or none.
   *
   * @throws {RangeError} If a line cannot be forced, with the reason.
   */
  force(request: ForceRequest): void {
    this.#forces.begin(request, (name) => this.#named(name));
  }

  /**
   * Ends forces: of these lines, or all; of this id, or any.
   *
   * @throws {RangeError} If there is no such line.
   */
  endForces(reason: string, names?: readonly string[], id?: string): void {
    const lines = names?.map((name) => this.#named(name));
    this.#forces.end(reason, lines, id);
  }

  #named(name: string): AggregatorLine {
    const line = this.find(name);
    if (line === undefined) throw unknownLine(this, name);
    return line;
  }

  /** The line with this guest-visible name or lineNumber, if there is one. */
  find(nameOrNumber: string): AggregatorLine | undefined {
    this.#byName ??= new Map(
      // The first of a name, and no line without one.
      this.lines.toReversed().map((line) => [line.name, line]),
    );
    return this.#byName.get(nameOrNumber) ??
      (/^\d+$/.test(nameOrNumber)
        ? this.lines[Number(nameOrNumber)]
        : undefined);
  }

  /** True if the guest of an earlier process may yet come back. */
  get awaitsGuest(): boolean {
    return this.#wait !== undefined;
  }

  /**
   * A guest is served from now on.
   *
   * @param isSame True if its session is the one that an earlier process served.
   */
  guestBegan(isSame = false): void {
    this.#hasGuest = true;
    this.#endWait();
    if (this.unsafe.length === 0) this.#dropGone();
    this.#requests.began(isSame);
    if (this.#isGuestKept) return;
    this.#isGuestKept = this.#keepMarker(guestFdName(this.name));
  }

  /** Keeps what says something by its name alone. */
  #keepMarker(name: string): boolean {
    const { store } = this.#context;
    if (store === undefined) return false;
    using marker = createMemFd(name, 1, { seal: true });
    store.keep(name, marker.fd);
    return true;
  }

  #dropGone(): void {
    if (this.#isGoneKept) this.#context.store?.drop(goneFdName(this.name));
    this.#isGoneKept = false;
  }

  /**
   * Ends the use by guests for good: every line goes where its rule says, which
   * is retried for as long as the aggregator is there.
   */
  *withdrawing(): Pieces {
    this.#endWait();
    this.#guards[Symbol.dispose]();
    yield* inPieces(this.lines.map((line) => () => {
      // It may have ended since the piece before.
      if (!this.#isOver) line.withdraw();
    }));
  }

  /** Lines that are not in the state that their rules want without a guest. */
  get unsafe(): UnsafeLine[] {
    return this.lines.flatMap(({ unsafe }) => unsafe ?? []);
  }

  /** The guest is gone: every line goes where its rule says. */
  guestGone(): void {
    this.#hasGuest = false;
    this.#endWait();
    if (this.#isGuestKept) this.#context.store?.drop(guestFdName(this.name));
    this.#isGuestKept = false;
    let first: { error: unknown } | undefined;
    for (const line of this.lines) {
      try {
        line.guestGone();
      } catch (error) {
        // The others must not stay as the guest left them.
        first ??= { error };
      }
    }
    this.#guards.guestGone();
    this.#requests.gone();
    if (first !== undefined) throw first.error;
    // The next process must not take over what a rule was to end.
    if (this.unsafe.length === 0) this.#dropGone();
    else this.#isGoneKept ||= this.#keepMarker(goneFdName(this.name));
  }

  /**
   * A guest that was served when this process was restarted holds its lines as
   * they are: it is not gone. Its VMM connects again, or it is gone after all.
   */
  #awaitGuest(): void {
    const { store, loop, reporter } = this.#context;
    const gone = store?.take(goneFdName(this.name)) ?? [];
    for (const marker of gone) marker.close();
    this.#isGoneKept = gone.length > 0;
    const markers = store?.take(guestFdName(this.name)) ?? [];
    this.#requests.resume(markers.length > 0);
    if (markers.length === 0) {
      if (this.#isGoneKept) this.guestGone();
      return;
    }
    for (const marker of markers) marker.close();
    this.#isGuestKept = true;
    this.#guards.awaitGuest();
    this.#wait = loop.after(RETURN_LIMIT_MS, () => {
      this.guestGone();
      reporter.notBack(RETURN_LIMIT_MS);
    });
  }

  #endWait(): void {
    this.#wait?.[Symbol.dispose]();
    this.#wait = undefined;
  }

  /** Ends, a line a piece: each goes where its rule says, and is let go. */
  *ending(): Pieces {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endWait();
    const { store, directory, interlocks } = this.#context;
    yield* inPieces([
      () => this.#guards[Symbol.dispose](),
      () => this.#forces[Symbol.dispose](),
      () => directory.remove(this.name),
      ...this.lines.map((line) => () => line[Symbol.dispose]()),
      // Those that are still active exclude others until then.
      () => interlocks.remove(this.name),
      // Without it, the next process would leave them as they are.
      () => {
        if (this.#isGuestKept) store?.drop(guestFdName(this.name));
        this.#requests.gone();
        this.#dropGone();
      },
    ]);
  }

  [Symbol.dispose](): void {
    atOnce(this.ending());
  }
}

function start(line: AggregatorLine): void {
  const { source, combine } = line.specification;
  // A lane has started its lines before it handed them over, or says so.
  const isStarted = source.kind === "lane" && combine === undefined &&
    innermost(line.source).isUnstarted !== true;
  if (isStarted) return;
  try {
    line.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(`${lineTitle(line.specification)}: ${error.message}`, {
      cause: error,
    });
  }
}
