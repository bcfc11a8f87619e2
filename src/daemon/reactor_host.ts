/**
 * What lives in the reactor: the aggregators with their devices and sockets,
 * put together here and taken apart again.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { isListening, socketPath } from "../../ffi/unix_socket.ts";
import {
  Aggregator,
  type AggregatorContext,
  type AggregatorReporter,
} from "../aggregator/aggregator.ts";
import type { AggregatorLine } from "../aggregator/aggregator_line.ts";
import { Interlocks } from "../aggregator/interlock.ts";
import { LaneEndpoint } from "../aggregator/lane_line.ts";
import type { FdKeeper } from "../aggregator/fd_keeper.ts";
import { innermost } from "../aggregator/line_source.ts";
import { SimLine } from "../aggregator/sim_line.ts";
import { SourceFactory } from "../aggregator/source_factory.ts";
import type { QemuPinsState } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import {
  type AggregatorSpecification,
  controlPathOf,
  type InterlockSpecification,
} from "../config/specification.ts";
import { resolveLate } from "../config/late_references.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { Direction, FAILED } from "../virtio/line_port.ts";
import { ChangeCollector } from "./change_collector.ts";
import type { ControlAnswer, ControlRequest } from "./control_protocol.ts";
import { ControlName } from "./control_names.ts";
import { ControlSocket } from "./control_socket.ts";
import { EventLimiter } from "./event_limiter.ts";
import { expose, type Exposure, SOCKET_MODE } from "./exposure.ts";
import { listenFor } from "./file_access.ts";
import { GivenFds } from "./given_fds.ts";
import type {
  AggregatorCounts,
  AggregatorDescription,
  LaneHandover,
  LineChanges,
  LineDescription,
  ServiceEvent,
} from "./messages.ts";

/** What the host tells the outside. */
export interface HostEvents {
  /** Something happened to an aggregator. */
  service(event: ServiceEvent): void;
  /** Lines changed while somebody observes. */
  changes(changes: LineChanges): void;
  /** The last aggregator that could serve anybody is gone. */
  idle(): void;
}

/** Telling of so many lines takes some 10 ms. */
const LINES_PER_TURN = 1024;

/** All that one reactor serves. */
export class ReactorHost implements Disposable {
  readonly #loop: EventLoop;
  readonly #events: HostEvents;
  readonly #served = new Map<string, Served>();
  readonly #sources: SourceFactory;
  readonly #keeper: FdKeeper | undefined;
  readonly #interlocks = new Interlocks();
  #nextSerial = 0;
  #isObserved = false;

  /** Makes a host that serves nothing yet. */
  constructor(loop: EventLoop, events: HostEvents, keeper?: FdKeeper) {
    this.#loop = loop;
    this.#events = events;
    this.#keeper = keeper;
    this.#sources = new SourceFactory(loop, keeper);
  }

  /**
   * Makes aggregators and serves them: all of them, or none.
   *
   * **Ownership**: of fds in the specifications, whatever comes of it.
   *
   * @param isTimed Whether to measure how long guests' requests take.
   * @throws {ConfigError} If they contradict each other.
   * @throws {Error} If a line or a socket cannot be had.
   */
  add(
    specifications: readonly AggregatorSpecification[],
    lanes: readonly LaneHandover[],
    isTimed = false,
  ): AggregatorDescription[] {
    using given = new DisposableStack();
    const fds = specifications.map((one) => given.use(new GivenFds([one])));
    const endpoints = lanes.map((lane) => this.#connectLane(lane));
    // Whatever comes of it, nobody asks for lines of these lanes again.
    using opening = new DisposableStack();
    for (const endpoint of endpoints) opening.defer(() => endpoint.complete());
    using made = new DisposableStack();
    for (const { name } of specifications) {
      if (this.#served.has(name)) {
        throw new ConfigError(`an aggregator "${name}" is served already`, {
          hint: "Choose another name, or remove that one first",
        });
      }
    }
    const resolved = specifications.map((specification) =>
      resolveLate(
        specification,
        (line) => this.#sources.directory.has(line),
      )
    );
    const added = resolved.map((specification, i) => {
      fds[i]!.release();
      const served = new Served(
        specification,
        this.#nextSerial++,
        this.#loop,
        {
          openSource: (line) =>
            this.#sources.open(line, specification.name, endpoints),
          directory: this.#sources.directory,
          interlocks: this.#interlocks,
          keeper: this.#keeper,
        },
        this.#events,
        () => this.#over(specification.name),
        isTimed,
      );
      return made.use(served);
    });
    made.move();
    for (const served of added) {
      this.#served.set(served.name, served);
      served.observe(this.#isObserved);
    }
    return added.map((served) => served.describe());
  }

  /**
   * Ends one aggregator: guest disconnected, lines as declared, sockets gone.
   *
   * @param isWhole Whether its second exposure ends too.
   * @returns What they were, the named one first.
   * @throws {RangeError} If there is none of this name.
   */
  remove(name: string, isWhole: boolean): AggregatorDescription[] {
    const gone = [this.#find(name)];
    for (const served of this.#served.values()) {
      if (isWhole && served.secondOf === name) gone.push(served);
    }
    const descriptions = gone.map((served) => served.describe());
    // The copies before the lines that they are made of.
    for (const served of gone.toReversed()) {
      this.#served.delete(served.name);
      served[Symbol.dispose]();
    }
    return descriptions;
  }

  /** Tells of the one of this name, if there is one. */
  describe(name: string): AggregatorDescription[] {
    const served = this.#served.get(name);
    return served === undefined ? [] : [served.describe()];
  }

  /**
   * Tells what is served, as far as one turn goes.
   *
   * @param after What an answer before had as `more`.
   */
  describeAll(
    after?: number,
  ): { aggregators: AggregatorDescription[]; more?: number } {
    const { page, ...more } = this.#page(after);
    return { aggregators: page.map((served) => served.describe()), ...more };
  }

  /**
   * Pulls simulated lines of one aggregator: all, or none.
   *
   * @throws {RangeError} If there is no such aggregator or line, or a line is
   * not simulated.
   */
  pull(
    name: string,
    changes: readonly [line: string, level: 0 | 1][],
  ): AggregatorDescription {
    const served = this.#find(name);
    served.pull(changes);
    return served.describe();
  }

  /** Has these interlocks from now on, and no others. */
  setInterlocks(interlocks: readonly InterlockSpecification[]): void {
    this.#interlocks.set(interlocks);
  }

  /**
   * Gives the lines of aggregators other rules, under their guests.
   *
   * @throws {RangeError} If one of them is not served.
   */
  changeRules(
    specifications: readonly AggregatorSpecification[],
  ): AggregatorDescription[] {
    const changes = specifications.map((specification) => ({
      specification,
      served: this.#find(specification.name),
    }));
    return changes.map(({ specification, served }) => {
      served.changeRules(specification);
      return served.describe();
    });
  }

  /** Begins or ends telling of changed lines. */
  observe(on: boolean): void {
    this.#isObserved = on;
    for (const served of this.#served.values()) served.observe(on);
  }

  /** All that an earlier process kept is taken over: it is as ever. */
  takenOver(): void {
    this.#sources.takenOver();
  }

  /** Tells what was counted, page by page as {@linkcode describeAll}. */
  countAll(after?: number): { counts: AggregatorCounts[]; more?: number } {
    const { page, ...more } = this.#page(after);
    return { counts: page.map((served) => served.count()), ...more };
  }

  /** Who can be told of in one turn, in which no guest is served. */
  #page(after = -1): { page: Served[]; more?: number } {
    const page: Served[] = [];
    let lines = 0;
    for (const served of this.#served.values()) {
      if (served.serial <= after) continue;
      if (lines >= LINES_PER_TURN) return { page, more: page.at(-1)!.serial };
      page.push(served);
      lines += served.lineCount;
    }
    return { page };
  }

  /** Ends everything: guests disconnected, lines as declared, sockets gone. */
  [Symbol.dispose](): void {
    for (const served of this.#served.values()) served[Symbol.dispose]();
    this.#served.clear();
    this.#sources[Symbol.dispose]();
  }

  #connectLane(lane: LaneHandover): LaneEndpoint {
    const memory = Mapping.map(lane.memoryFd, {
      length: lane.memoryBytes,
      writable: true,
      subject: "lane memory",
    });
    return new LaneEndpoint(this.#loop, {
      memory,
      wakeFd: lane.wakeFd,
      doneFd: lane.doneFd,
    });
  }

  #find(name: string): Served {
    const served = this.#served.get(name);
    if (served === undefined) {
      throw new RangeError(`cannot find an aggregator "${name}"`);
    }
    return served;
  }

  #over(name: string): void {
    this.#served.get(name)?.[Symbol.dispose]();
    this.#served.delete(name);
    if (this.#served.size === 0) this.#events.idle();
  }
}

/** One aggregator with its exposure and its control socket. */
class Served implements AggregatorReporter, Disposable {
  readonly name: string;
  /** In which order they were made. */
  readonly serial: number;
  /** The aggregator that it is the second exposure of. */
  readonly secondOf: string | undefined;
  readonly #qemuPins: QemuPinsState | undefined;
  readonly #aggregator: Aggregator;
  readonly #resources: DisposableStack;
  readonly #events: EventLimiter;
  readonly #exposure: Exposure;
  readonly #changes: ChangeCollector;
  readonly #servedSince = Date.now();
  readonly #began = performance.now();
  /** Where the socket stands that it was given, if it is one to listen at. */
  readonly #givenPath: string | undefined;
  #connectedSince: number | undefined;
  #connections = 0;
  #faults = 0;

  /**
   * **Ownership**: of an fd in `specification`.
   *
   * `onOver` is called when a connection that was given as an fd has ended.
   */
  constructor(
    specification: AggregatorSpecification,
    serial: number,
    loop: EventLoop,
    surroundings: Omit<AggregatorContext, "loop" | "reporter">,
    { service, changes }: HostEvents,
    onOver: () => void,
    isTimed: boolean,
  ) {
    this.name = specification.name;
    this.serial = serial;
    this.secondOf = specification.secondOf;
    this.#qemuPins = stateOf(specification);
    using resources = new DisposableStack();
    const fds = resources.use(new GivenFds([specification]));
    this.#givenPath = givenPathOf(specification);
    this.#events = resources.use(new EventLimiter(loop, service));
    this.#aggregator = resources.use(
      Aggregator.open(specification, {
        ...surroundings,
        loop,
        reporter: this,
      }),
    );
    this.#changes = resources.use(
      new ChangeCollector(loop, (counts) =>
        changes({
          aggregator: this.name,
          lines: [...counts].map(([lineNumber, changes]) => {
            const { source: _, ...line } = this.#describeLine(lineNumber);
            return { ...line, changes };
          }),
        })),
    );
    // Sockets last: whoever can connect finds the lines ready.
    fds.release();
    this.#exposure = resources.use(
      expose(specification, this.#aggregator, loop, {
        report: (event, detail) => this.#report(event, detail),
        over: onOver,
      }, isTimed),
    );
    const { controlBase, access } = this.#exposure;
    const own = specification.control;
    const controlPath = own?.path ??
      (controlBase && controlPathOf(controlBase));
    if (controlPath !== undefined) {
      const control = listenFor(
        controlPath,
        { ...access, ...own?.access },
        SOCKET_MODE,
      );
      resources.use(
        new ControlSocket(loop, control, (request) => this.#control(request)),
      );
      resources.use(ControlName.publish(this.name, control.path));
    }
    this.#resources = resources.move();
  }

  describe(): AggregatorDescription {
    const given = this.#givenPath;
    const { socketPath = given } = this.#exposure;
    return {
      name: this.name,
      presentation: given === undefined
        ? this.#exposure.presentation
        : `at ${given}`,
      ...(socketPath === undefined ? {} : { socketPath }),
      ...(this.#qemuPins === undefined ? {} : { qemuPins: this.#qemuPins }),
      ...(this.secondOf === undefined ? {} : { secondOf: this.secondOf }),
      connected: this.#connectedSince !== undefined,
      servedSince: this.#servedSince,
      ...(this.#connectedSince === undefined
        ? {}
        : { connectedSince: this.#connectedSince }),
      lines: this.#aggregator.lines.map((_, i) => this.#describeLine(i)),
    };
  }

  /** How many lines it has. */
  get lineCount(): number {
    return this.#aggregator.lines.length;
  }

  /** Begins or ends telling of changed lines. */
  observe(on: boolean): void {
    for (const line of this.#aggregator.lines) {
      line.observe(on ? this.#changes : undefined);
    }
  }

  /** Tells what was counted. */
  count(): AggregatorCounts {
    return {
      name: this.name,
      connected: this.#connectedSince !== undefined,
      servedSince: this.#servedSince,
      uptimeMs: performance.now() - this.#began,
      guests: {
        connections: this.#connections,
        faults: this.#faults,
        eventsLeftOut: this.#events.leftOut,
        lines: this.#aggregator.lines.map(({ name, refusals, source }) => {
          const { lostEdges = 0, mergedEdges = 0 } = innermost(source);
          return { name, refusals, lostEdges, mergedEdges };
        }),
        exposure: this.#exposure.count(),
      },
    };
  }

  [Symbol.dispose](): void {
    this.#resources[Symbol.dispose]();
  }

  /** Gives the lines other rules. */
  changeRules({ lines }: AggregatorSpecification): void {
    this.#aggregator.changeRules(lines);
  }

  refused(line: AggregatorLine, reason: string): void {
    this.#report("refused", `${titleOf(line)}: ${reason}`);
  }

  silent(line: AggregatorLine): void {
    this.#report("silent", `${titleOf(line)} has its safe value now`);
  }

  notBack(limitMs: number): void {
    this.#events.report({
      aggregator: this.name,
      event: "stopped",
      detail: `it did not come back within ${limitMs / 1000} s of the restart`,
    });
  }

  presence(line: AggregatorLine, isPresent: boolean): void {
    const what = `${titleOf(line)}, ${line.source.description}`;
    this.#report(isPresent ? "plugged" : "unplugged", what);
  }

  #report(event: ServiceEvent["event"], detail = ""): void {
    if (event === "connected") {
      this.#connectedSince = Date.now();
      this.#connections++;
    }
    if (event === "disconnected") this.#connectedSince = undefined;
    if (event === "fault") this.#faults++;
    this.#events.report({ aggregator: this.name, event, detail });
  }

  #describeLine(lineNumber: number): LineDescription {
    const line = this.#aggregator.lines[lineNumber]!;
    const value = line.source.peek();
    return {
      lineNumber,
      name: line.name,
      source: line.source.description,
      direction: line.direction === Direction.Output ? "output" : "input",
      ...(value === FAILED ? {} : { value }),
    };
  }

  #control(request: ControlRequest): ControlAnswer {
    this.pull(request.pull ?? []);
    return { aggregator: this.describe() };
  }

  /** Pulls simulated lines: all, or none. */
  pull(changes: readonly [line: string, level: 0 | 1][]): void {
    const pins = changes.map(([name, level]) => {
      const line = this.#aggregator.find(name);
      if (line === undefined) {
        throw new RangeError(`cannot find line "${name}" of ${this.name}`);
      }
      const pin = innermost(line.source);
      if (!(pin instanceof SimLine)) {
        throw new RangeError(
          `line "${name}" of ${this.name} is ${line.source.description}: ` +
            `only simulated lines can be pulled`,
        );
      }
      return { line, pin, level };
    });
    for (const { line, pin, level } of pins) {
      pin.pull(level);
      line.pulled();
    }
  }
}

/** Where a socket to listen at stands that was given as an fd. */
function givenPathOf(
  { vhostUser }: AggregatorSpecification,
): string | undefined {
  return vhostUser !== undefined && "fd" in vhostUser &&
      isListening(vhostUser.fd)
    ? socketPath(vhostUser.fd)
    : undefined;
}

function stateOf(
  { qemuPins }: AggregatorSpecification,
): QemuPinsState | undefined {
  if (qemuPins === undefined) return undefined;
  const { pins: _pins, ...state } = qemuPins;
  return state;
}

function titleOf({ name, lineNumber }: AggregatorLine): string {
  return name === "" ? `line ${lineNumber}` : name;
}
