/**
 * Contents of the reactor: assembles the aggregators with their devices and
 * sockets, and takes them apart again.
 *
 * @module
 */
import { Mapping } from "../../../ffi/mapping.ts";
import type { EdgeRecord } from "../../aggregator/aggregator.ts";
import { LaneEndpoint } from "../../aggregator/lane/lane_line.ts";
import type { FdStore } from "../../aggregator/restart/fd_store.ts";
import { Interlocks } from "../../aggregator/rules/interlock.ts";
import { SourceFactory } from "../../aggregator/sources/source_factory.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { FollowIndex } from "../../config/references/follow_index.ts";
import { resolveLate } from "../../config/references/late_references.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import { OneScan } from "../../gpio/lookup.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { atOnce, eachPart, type Pieces } from "../../reactor/pieces.ts";
import type {
  Answer,
  ForceCommand,
  LaneHandover,
  PlayCommand,
} from "../messages/messages.ts";
import { GivenFds } from "../sockets/given_fds.ts";
import { type HostEvents, ServedAggregator } from "./served_aggregator.ts";

/** Part of an answer, or nothing after a piece of work. */
type Step = Answer | void;

/** All that one reactor serves. */
export class ReactorHost implements Disposable {
  readonly #loop: EventLoop;
  readonly #events: HostEvents;
  readonly #served = new Map<string, ServedAggregator>();
  readonly #sources: SourceFactory;
  readonly #store: FdStore | undefined;
  readonly #record: EdgeRecord | undefined;
  readonly #interlocks = new Interlocks();
  readonly #following = new FollowIndex();
  #nextSerial = 0;
  #isObserved = false;

  /** Makes a host that serves nothing yet, and records edges in `record`. */
  constructor(
    loop: EventLoop,
    events: HostEvents,
    store?: FdStore,
    record?: EdgeRecord,
  ) {
    this.#loop = loop;
    this.#events = events;
    this.#store = store;
    this.#record = record;
    this.#sources = new SourceFactory(loop, store);
  }

  /**
   * Makes aggregators and serves them: all of them, or none. Their descriptions
   * are parts of the answer. Where the store leaves what is kept to the next
   * process, a failure leaves the aggregators that were made: nothing is to
   * follow but {@linkcode ReactorHost.handOver}, or the end.
   *
   * **Ownership**: of fds in the specifications, also on failure.
   *
   * @param isTimed True to measure the duration of requests.
   * @param isRestart True if an earlier process kept something of them. Its
   * guests have interrupts armed: an edge that is read between two pieces would
   * find no device yet, and be lost. Therefore all of them are opened at once.
   * @throws {ConfigError} If they contradict each other.
   * @throws {Error} If a line or a socket cannot be obtained.
   */
  *add(
    specifications: readonly AggregatorSpecification[],
    lanes: readonly LaneHandover[],
    isTimed = false,
    isRestart = false,
  ): Generator<Step, void> {
    using given = new DisposableStack();
    const fds = specifications.map((one) => given.use(new GivenFds([one])));
    const endpoints = lanes.map((lane) => this.#connectLane(lane));
    let isServed = false;
    const isLeft = () => !isServed && this.#store?.leaves === true;
    // Whatever its outcome, lines of these lanes are not requested again.
    using opening = new DisposableStack();
    opening.defer(() => {
      if (isLeft()) return;
      for (const endpoint of endpoints) endpoint.complete();
    });
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
    this.#following.check(resolved);
    const added: ServedAggregator[] = [];
    const scan = new OneScan();
    /** Those whose only connection has ended before all were served. */
    const overEarly: string[] = [];
    try {
      for (const [i, specification] of resolved.entries()) {
        fds[i]!.release();
        const { name } = specification;
        const pieces = ServedAggregator.opening(specification, {
          serial: this.#nextSerial++,
          loop: this.#loop,
          openSource: (line, share) =>
            scan.during(() => this.#sources.open(line, name, endpoints, share)),
          surroundings: {
            directory: this.#sources.directory,
            interlocks: this.#interlocks,
            store: this.#store,
            record: this.#record,
          },
          events: this.#events,
          onOver: () => {
            if (isServed) this.#over(name);
            else overEarly.push(name);
          },
          isTimed,
        });
        added.push(isRestart ? atOnce(pieces) : yield* pieces);
        if (!isRestart) yield;
      }
      for (const specification of resolved) this.#following.add(specification);
      for (const served of added) this.#served.set(served.name, served);
      isServed = true;
    } finally {
      if (isLeft()) {
        for (const served of added) this.#served.set(served.name, served);
      } else if (!isServed) {
        try {
          yield* endAll(added.toReversed());
        } catch {
          // The user gets the reason why they could not be served.
        }
      }
    }
    for (const served of added) yield* served.observing(() => this.#isObserved);
    for (const served of added) yield* served.describe();
    for (const name of overEarly) this.#over(name);
  }

  /**
   * Ends one aggregator: guest disconnected, lines as declared, sockets
   * removed.
   * Descriptions of what is ended, the named one first, are parts of the answer.
   *
   * @param isWhole True if its second exposure ends too.
   * @throws {RangeError} If there is none of this name.
   */
  *remove(name: string, isWhole: boolean): Generator<Step, void> {
    const gone = this.#group(name, isWhole);
    for (const served of gone) yield* served.describe();
    // Copies before the lines that they copy.
    for (const { name } of gone) this.#forget(name);
    yield* endAll(gone.toReversed());
  }

  /**
   * Ends guests' use of one aggregator, or of all, permanently: guest
   * disconnected, sockets removed, lines as declared, which is retried. Lines that
   * are not in their declared state yet are parts of the answer.
   *
   * @throws {RangeError} If there is none of this name.
   */
  *withdraw(name: string | undefined, isWhole: boolean): Generator<Step, void> {
    const group = name === undefined
      ? [...this.#served.values()]
      : this.#group(name, isWhole);
    // Copies before the lines that they copy.
    yield* eachPart(group.toReversed(), (served) => served.withdrawing());
    for (const { unsafe } of group) yield { aggregators: [], unsafe };
  }

  /** Returns the rules that do not hold and are retried, in parts. */
  *pending(): Generator<Answer, void> {
    for (const { pending } of this.#select()) {
      yield { aggregators: [], pending };
    }
  }

  /** Describes all that is served, or the one of this name, in parts. */
  *describe(name?: string): Generator<Answer, void> {
    for (const served of this.#select(name)) {
      yield* served.describe(() => this.#isServed(served));
    }
  }

  /**
   * Pulls simulated lines of one aggregator, all or none, and describes it.
   *
   * @throws {RangeError} If there is no such aggregator or line, or a line is
   * not simulated.
   */
  *pull(
    name: string,
    changes: readonly [line: string, level: 0 | 1][],
  ): Generator<Step, void> {
    const served = this.#find(name);
    served.pull(changes);
    yield* served.describe();
  }

  /**
   * Plays values into simulated lines of one aggregator.
   *
   * @throws {RangeError} If that cannot be done.
   */
  *play(name: string, command: PlayCommand): Generator<Step, void> {
    yield { aggregators: [], play: yield* this.#find(name).play(command) };
  }

  /**
   * Holds lines of one aggregator at values, or ends that, and describes it.
   *
   * @throws {RangeError} If there is no such aggregator or line, or a line
   * cannot be forced.
   */
  *force(name: string, command: ForceCommand): Generator<Step, void> {
    const served = this.#find(name);
    served.force(command);
    yield* served.describe();
  }

  /** Replaces all interlocks. */
  setInterlocks(interlocks: readonly InterlockSpecification[]): void {
    this.#interlocks.set(interlocks);
  }

  /**
   * Replaces the rules of aggregators' lines, under their guests, and
   * describes the aggregators.
   *
   * @throws {RangeError} If one of them is not served.
   */
  *changeRules(
    specifications: readonly AggregatorSpecification[],
  ): Generator<Step, void> {
    const changes = specifications.map((specification) => ({
      specification,
      served: this.#find(specification.name),
    }));
    for (const { specification, served } of changes) {
      served.changeRules(specification);
      yield;
    }
    for (const { served } of changes) yield* served.describe();
  }

  /** Turns reports of changed lines on or off. */
  *observe(on: boolean): Pieces {
    this.#isObserved = on;
    for (const served of this.#select()) {
      yield* served.observing(() => this.#isObserved);
    }
  }

  /** The takeover from an earlier process is complete. */
  takenOver(): void {
    this.#sources.takenOver();
  }

  /** Leaves what goes on in the next process: nothing is served from now on. */
  handOver(): void {
    for (const served of this.#served.values()) served.handOver();
  }

  /** Returns the counters, in parts. */
  *count(): Generator<Answer, void> {
    for (const served of this.#select()) {
      yield* served.count(() => this.#isServed(served));
    }
  }

  /** Those that are served when their turn comes. */
  *#select(name?: string): Generator<ServedAggregator, void> {
    if (name === undefined) {
      // A map may change while it is iterated.
      yield* this.#served.values();
      return;
    }
    const served = this.#served.get(name);
    if (served !== undefined) yield served;
  }

  #isServed(served: ServedAggregator): boolean {
    return this.#served.get(served.name) === served;
  }

  /**
   * Ends everything: guests disconnected, lines as declared, sockets removed.
   */
  [Symbol.dispose](): void {
    const all = [...this.#served.values()];
    this.#served.clear();
    try {
      atOnce(endAll(all));
    } finally {
      this.#sources[Symbol.dispose]();
    }
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

  /** One aggregator, and its second exposure if `isWhole`. */
  #group(name: string, isWhole: boolean): ServedAggregator[] {
    const group = [this.#find(name)];
    for (const served of this.#served.values()) {
      if (isWhole && served.secondOf === name) group.push(served);
    }
    return group;
  }

  #find(name: string): ServedAggregator {
    const served = this.#served.get(name);
    if (served === undefined) {
      throw new RangeError(`cannot find an aggregator "${name}"`);
    }
    return served;
  }

  #over(name: string): void {
    this.#served.get(name)?.[Symbol.dispose]();
    this.#forget(name);
    if (this.#served.size === 0) this.#events.idle();
  }

  #forget(name: string): void {
    this.#served.delete(name);
    this.#following.remove(name);
  }
}

/** Ends all of them, whatever becomes of one. */
function endAll(all: readonly ServedAggregator[]): Pieces {
  return eachPart(all, (served) => served.ending());
}
