/**
 * One served aggregator: its lines with its exposure and its control socket,
 * and their reports.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import type { Line } from "../../client/protocol.ts";
import {
  Aggregator,
  type AggregatorContext,
  type RecordBegin,
} from "../../aggregator/aggregator.ts";
import type { LineSource } from "../../aggregator/line_source.ts";
import {
  type AggregatorSpecification,
  defaultControlPath,
  type LineSpecification,
} from "../../config/specification.ts";
import type { EventLoop, TimeShare } from "../../reactor/event_loop.ts";
import { GuardedLoop } from "../../reactor/guarded_loop.ts";
import {
  atOnce,
  eachPart,
  inPieces,
  onePiece,
  type Pieces,
} from "../../reactor/pieces.ts";
import { printableError } from "../../text/printable.ts";
import { ControlName } from "../control/control_names.ts";
import type { ControlRequest } from "../control/control_protocol.ts";
import { ControlSocket } from "../control/control_socket.ts";
import type {
  AggregatorCounts,
  AggregatorDescription,
  Answer,
  ForceCommand,
  LineChanges,
  LineCounts,
  PendingLine,
  PlayCommand,
  RecordedLines,
  ServiceEvent,
  UnsafeLineState,
} from "../messages/messages.ts";
import { listenFor } from "../sockets/file_access.ts";
import { GivenFds } from "../sockets/given_fds.ts";
import {
  countLine,
  describeLine,
  describeState,
  formatTitle,
} from "./line_reports.ts";
import { AggregatorPlay } from "./aggregator_play.ts";
import { AggregatorReports } from "./aggregator_reports.ts";
import { pullPin, toPinChanges } from "./pin_changes.ts";
import { ChangeCollector } from "./change_collector.ts";
import { expose } from "./expose.ts";
import { type Exposure, SOCKET_MODE } from "./exposure.ts";
import {
  type ExposureStates,
  findSocketPath,
  listStates,
} from "./exposure_states.ts";

/** Events of the host. */
export interface HostEvents {
  /** Something happened to an aggregator. */
  service(event: ServiceEvent): void;
  /** Lines changed while changes are observed. */
  changes(changes: LineChanges): void;
  /** Edges of these lines are recorded from now on. */
  recorded?(lines: RecordedLines): void;
  /** Edges of so many lines are not recorded any more. */
  unrecorded?(firstId: number, count: number): void;
  /** The last aggregator that could serve a guest has ended. */
  idle(): void;
}

/** Surroundings of a served aggregator. */
interface ServedContext {
  /** Its number in the order in which they were made. */
  serial: number;
  loop: EventLoop;
  surroundings: Omit<AggregatorContext, "loop" | "reporter" | "openSource">;
  /** Opens the source of a line; `share` is the aggregator's time. */
  openSource: (line: LineSpecification, share: TimeShare) => LineSource;
  events: HostEvents;
  /** Called when a connection that was given as an fd has ended. */
  onOver: () => void;
  /** True to measure the duration of guests' requests. */
  isTimed: boolean;
}

/** Lines of one part of an answer: the minimum cost of a turn. */
const LINES_PER_PART = 32;
/**
 * Exceptions of an aggregator's handlers that are tolerated within {@linkcode
 * FAILURES_MS}.
 */
const MAX_FAILURES = 5;
/** **Units**: milliseconds. */
const FAILURES_MS = 10_000;

/** One aggregator with its exposure and its control socket. */
export class ServedAggregator implements Disposable {
  readonly name: string;
  /** Order of creation. */
  readonly serial: number;
  /** The aggregator whose second exposure it is. */
  readonly secondOf: string | undefined;
  readonly #states: ExposureStates;
  #controlPath: string | undefined;
  /** Path of a given listening socket. */
  readonly #givenPath: string | undefined;
  readonly #loop: EventLoop;
  readonly #reports: AggregatorReports;
  readonly #resources = new DisposableStack();
  /** Its exposure and its control socket. */
  readonly #outside = new DisposableStack();
  // From the moment on that it is open.
  #aggregator!: Aggregator;
  #exposure!: Exposure;
  #changes!: ChangeCollector;
  #play: AggregatorPlay | undefined;
  #isOpen = false;
  readonly #servedSince = Date.now();
  readonly #began = performance.now();
  /** Times of recent exceptions. **Units**: ms on the monotonic clock. */
  #failures: number[] = [];
  #isEnding = false;

  private constructor(
    specification: AggregatorSpecification,
    serial: number,
    outerLoop: EventLoop,
    events: (event: ServiceEvent) => void,
  ) {
    this.name = specification.name;
    this.serial = serial;
    this.secondOf = specification.secondOf;
    this.#states = listStates(specification);
    this.#givenPath = findSocketPath(specification);
    this.#loop = outerLoop;
    this.#reports = this.#resources.use(
      new AggregatorReports(this.name, outerLoop, events),
    );
  }

  /**
   * Makes an aggregator and serves it: a line a piece, the sockets last, so that
   * whatever can connect finds the lines ready. If a piece throws, nothing of it
   * is left, unless its store leaves it to the next process.
   *
   * **Ownership**: of an fd in `specification`.
   */
  static *opening(
    specification: AggregatorSpecification,
    context: ServedContext,
  ): Pieces<ServedAggregator> {
    using fds = new GivenFds([specification]);
    const { loop: outerLoop, serial, surroundings, events } = context;
    const served = new ServedAggregator(
      specification,
      serial,
      outerLoop,
      events.service,
    );
    const loop = new GuardedLoop(outerLoop, (error) => served.#failed(error));
    // One for its guests and for the edges of its lines: neither has more time
    // with the other.
    const share = loop.share(undefined, {
      hasDeadline: specification.usbredir !== undefined,
    });
    try {
      served.#aggregator = yield* Aggregator.opening(specification, {
        ...surroundings,
        loop,
        openSource: (line) => context.openSource(line, share),
        reporter: served.#reports,
        recorded: (begin) => served.#tellRecorded(begin, events),
      });
      served.#serve(specification, context, loop, share, fds);
      served.#isOpen = true;
      return served;
    } finally {
      const isLeft = surroundings.store?.leaves === true;
      if (!served.#isOpen && !isLeft) yield* served.ending();
    }
  }

  /** Announces which lines are recorded, before they have edges. */
  *#tellRecorded(
    { lines, firstId, states, time }: RecordBegin,
    { recorded, unrecorded }: HostEvents,
  ): Pieces {
    this.#resources.defer(() => unrecorded?.(firstId, lines.length));
    for (let i = 0; i < lines.length; i += LINES_PER_PART) {
      const some = lines.slice(i, i + LINES_PER_PART);
      recorded?.({
        aggregator: this.name,
        firstLine: i,
        firstId: firstId + i,
        names: some.map(({ name }) => name),
        states: states.slice(i, i + LINES_PER_PART),
        time,
      });
      yield;
    }
  }

  #serve(
    specification: AggregatorSpecification,
    { events: { changes }, onOver, isTimed, surroundings }: ServedContext,
    loop: EventLoop,
    share: TimeShare,
    fds: GivenFds,
  ): void {
    if (this.#failures.length > 0) {
      throw new Error(`${this.name} cannot be served: an internal error`);
    }
    this.#changes = this.#resources.use(
      new ChangeCollector(loop, (counts) =>
        changes({
          aggregator: this.name,
          lines: [...counts].map(([lineNumber, changes]) => {
            const line = this.#aggregator.lines[lineNumber]!;
            return { ...describeState(line, lineNumber), changes };
          }),
        })),
    );
    fds.release();
    const outside = this.#outside;
    this.#exposure = outside.use(
      expose(specification, {
        aggregator: this.#aggregator,
        loop,
        share,
        events: {
          report: (event, detail) => this.#reports.report(event, detail),
          over: onOver,
        },
        isTimed,
        store: surroundings.store,
      }),
    );
    const { controlBase, access } = this.#exposure;
    const own = specification.control;
    const controlPath = own?.path ??
      (controlBase && defaultControlPath(controlBase));
    if (controlPath === undefined) return;
    const control = listenFor(
      controlPath,
      { ...access, ...own?.access },
      SOCKET_MODE,
    );
    outside.use(
      new ControlSocket(loop, control, (request) => this.#control(request)),
    );
    this.#controlPath = control.path;
    outside.use(ControlName.publish(this.name, control.path));
  }

  /** Describes it, in parts of an answer, for as long as `isWanted`. */
  *describe(isWanted: () => boolean = () => true): Generator<Answer, void> {
    const head = this.#describeHead();
    yield { aggregators: [{ ...head, lines: this.#describeLines(0) }] };
    yield* this.#parts(isWanted, (first) => ({
      aggregators: [],
      moreLines: this.#describeLines(first),
    }));
  }

  /** Returns what was counted, in parts of an answer, for as long as `isWanted`. */
  *count(isWanted: () => boolean = () => true): Generator<Answer, void> {
    yield { aggregators: [], counts: [this.#count()] };
    yield* this.#parts(isWanted, (first) => ({
      aggregators: [],
      moreLineCounts: this.#countLines(first),
    }));
  }

  /** The parts of an answer after the first. */
  *#parts(
    isWanted: () => boolean,
    answer: (firstLine: number) => Answer,
  ): Generator<Answer, void> {
    for (let i = LINES_PER_PART; i < this.lineCount; i += LINES_PER_PART) {
      if (!isWanted()) return;
      yield answer(i);
    }
  }

  /** Describes the lines of one part of an answer. */
  #describeLines(first: number): Line[] {
    return this.#aggregator.lines.slice(first, first + LINES_PER_PART)
      .map((_, i) => this.#describeLine(first + i));
  }

  /** The description without the lines. */
  #describeHead(): Omit<AggregatorDescription, "lines"> {
    const given = this.#givenPath;
    const states = this.#states;
    const { socketPath = given } = this.#exposure;
    const { connectedSince, startedSince } = this.#reports;
    return {
      name: this.name,
      presentation: given === undefined
        ? this.#exposure.presentation
        : `at ${given}`,
      ...(socketPath === undefined || "vfioUser" in states ||
          "usbredir" in states
        ? {}
        : { socketPath }),
      ...(this.#controlPath === undefined
        ? {}
        : { controlPath: this.#controlPath }),
      ...states,
      ...(this.secondOf === undefined ? {} : { secondOf: this.secondOf }),
      ...(this.#isEnding ? { ending: true } : {}),
      connected: connectedSince !== undefined,
      servedSince: this.#servedSince,
      ...(connectedSince === undefined ? {} : { connectedSince }),
      ...(startedSince === undefined ? {} : { startedSince }),
    };
  }

  /** Ends its use by guests permanently, with its lines as declared. */
  *withdrawing(): Pieces {
    this.#isEnding = true;
    yield* eachPart([
      () => onePiece(() => this.#outside.dispose()),
      () => this.#aggregator.withdrawing(),
    ], (part) => part());
  }

  /** Ends it: guest disconnected, lines as declared, sockets gone. */
  *ending(): Pieces {
    // Not there if it could not be opened.
    const aggregator = this.#aggregator as Aggregator | undefined;
    yield* eachPart([
      () => onePiece(() => this.#outside.dispose()),
      () => aggregator === undefined ? inPieces([]) : aggregator.ending(),
      () => onePiece(() => this.#resources.dispose()),
    ], (part) => part());
  }

  /** Lines that are not in their declared state. */
  get unsafe(): UnsafeLineState[] {
    return this.#aggregator.unsafe.map(({ line, reason, isRetried }) => ({
      aggregator: this.name,
      lineNumber: line.lineNumber,
      line: formatTitle(line),
      reason,
      isRetried,
    }));
  }

  /** Rules of its lines that do not hold and are retried. */
  get pending(): PendingLine[] {
    return this.#aggregator.lines.flatMap((line) => {
      const { pendingRule } = line;
      return pendingRule === undefined
        ? []
        : [{ aggregator: this.name, line: formatTitle(line), ...pendingRule }];
    });
  }

  /** Number of its lines. */
  get lineCount(): number {
    return this.#aggregator.lines.length;
  }

  /** Turns reports of changed lines on or off. */
  *observing(isOn: () => boolean): Pieces {
    for (const line of this.#aggregator.lines) {
      line.observe(isOn() ? this.#changes : undefined);
      yield;
    }
  }

  /** Returns the counters, with those of the first lines only. */
  #count(): AggregatorCounts {
    return {
      name: this.name,
      connected: this.#reports.connectedSince !== undefined,
      servedSince: this.#servedSince,
      uptimeMs: performance.now() - this.#began,
      guests: {
        ...this.#reports.counts,
        lines: this.#countLines(0),
        exposure: this.#exposure.count(),
      },
    };
  }

  /** Returns the counters of the lines of one part of an answer. */
  #countLines(first: number): LineCounts[] {
    return this.#aggregator.lines.slice(first, first + LINES_PER_PART)
      .map(countLine);
  }

  [Symbol.dispose](): void {
    atOnce(this.ending());
  }

  /** Replaces the rules of the lines. */
  changeRules(specification: AggregatorSpecification): void {
    this.#aggregator.changeRules(specification.lines);
    this.#exposure.changeRules(specification);
  }

  /** Leaves what goes on in the next process: nothing is served from now on. */
  handOver(): void {
    try {
      this.#exposure.handOver?.();
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * A handler threw, which is a bug of ours. The guest's session ends; after
   * repeated exceptions the aggregator serves no guest any more. Others are
   * served on.
   */
  #failed(error: unknown): void {
    const now = performance.now();
    this.#failures = this.#failures.filter((at) => now - at < FAILURES_MS);
    this.#failures.push(now);
    const isLast = this.#failures.length >= MAX_FAILURES;
    if (this.#failures.length > MAX_FAILURES) return;
    this.#reports.report(
      "fault",
      `internal error: ${printableError(error)}; ` +
        (isLast
          ? "it serves no guest any more, and its lines are made safe"
          : "the session is ended"),
    );
    // The handler's caller need not be ready for it.
    this.#loop.defer(() => {
      // What is not open yet will not be.
      if (!this.#isOpen) return;
      if (isLast) atOnce(this.withdrawing());
      else this.#exposure.endSession?.("an internal error");
    });
  }

  #describeLine(lineNumber: number): Line {
    return describeLine(this.#aggregator.lines[lineNumber]!, lineNumber);
  }

  /** Executes a request, and describes the aggregator, in pieces. */
  *#control(request: ControlRequest): Generator<string, void> {
    const driven: string[] = [];
    const pins = toPinChanges(this.#aggregator, request.pull ?? []);
    for (const [i, change] of pins.entries()) {
      pullPin(change);
      if (change.pin.isDriven) driven.push(request.pull![i]![0]);
      yield "";
    }
    // The lines come last in a description.
    const head = JSON.stringify({ ...this.#describeHead(), lines: [] });
    yield `{"aggregator":${head.slice(0, -"]}".length)}`;
    for (let i = 0; i < this.lineCount; i++) {
      yield (i === 0 ? "" : ",") + JSON.stringify(this.#describeLine(i));
    }
    yield "]}" +
      (driven.length === 0 ? "" : `,"driven":${JSON.stringify(driven)}`) + "}";
  }

  /** Plays values into simulated lines, or returns the state of that. */
  play(command: PlayCommand): Pieces<PlayState> {
    this.#play ??= this.#resources.use(
      new AggregatorPlay(this.#loop, this.#aggregator),
    );
    return this.#play.obey(command);
  }

  /** Holds lines at values, or ends that. */
  force({ request, end }: ForceCommand): void {
    if (request !== undefined) this.#aggregator.force(request);
    if (end !== undefined) {
      this.#aggregator.endForces(end.reason, end.lines, end.id);
    }
  }

  /** Pulls simulated lines: all, or none. */
  pull(changes: readonly [line: string, level: 0 | 1][]): void {
    for (const pin of toPinChanges(this.#aggregator, changes)) pullPin(pin);
  }
}
