/**
 * The main isolate's side of the reactor: starts the Worker, sends commands,
 * receives reports.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import { Endpoints } from "../sockets/endpoints.ts";
import type { ManagerFdStore } from "../restart/manager_fd_store.ts";
import type { RecordMemory } from "../record/record_memory.ts";
import { GivenFds } from "../sockets/given_fds.ts";
import { HostChips } from "./host_chips.ts";
import { Lanes, LinesHeldError } from "../lanes/lanes.ts";
import {
  type AddOptions,
  type AggregatorCounts,
  type AggregatorDescription,
  type Answer,
  type Command,
  type ForceCommand,
  type LineChanges,
  type PendingLine,
  type PlayCommand,
  type RecordedLines,
  type Report,
  type ServiceEvent,
  toError,
} from "../messages/messages.ts";
import {
  SAFE_LIMIT_MS,
  UnsafeLinesError,
} from "../messages/unsafe_lines_error.ts";
import { ReactorCommands } from "./reactor_commands.ts";
import type { ReactorStart } from "./reactor_worker.ts";
import {
  type ReactorThread,
  returnThread,
  takeReactorThread,
} from "./reactor_thread.ts";
import { Withdrawals } from "./withdrawals.ts";
import { settlesWithin } from "../../async/wait.ts";

/** Events of a reactor. */
export interface ReactorEvents {
  /** Something happened to an aggregator. */
  service(event: ServiceEvent): void;
  /** Lines changed while {@linkcode ReactorClient.observe} is on. */
  changes?(changes: LineChanges): void;
  /** Edges of these lines are recorded from now on. */
  recorded?(lines: RecordedLines): void;
  /** Edges of so many lines are not recorded any more. */
  unrecorded?(firstId: number, count: number): void;
  /**
   * Another process removed a kernel chip; it stays listed until it is removed
   * here.
   */
  chipGone?(name: string): void;
  /**
   * An aggregator that did not reach its declared state in time is removed now.
   */
  removedLate?(name: string): void;
  /** Nothing is left to serve. */
  idle(): void;
  /** A kept fd cannot be used, or a resource was not closed; as text. */
  problem?(text: string): void;
  /** The reactor failed with `error`. */
  crashed(error: Error): void;
}

/** Additional time for lanes to release their lines. **Units**: ms. */
const LANES_LIMIT_MS = 1000;
/** Time for the reactor to stop for the next process. **Units**: ms. */
const HAND_OVER_MS = 1000;
/** Time limit of all of this. **Units**: milliseconds. */
export const SHUTDOWN_LIMIT_MS = SAFE_LIMIT_MS + 2 * LANES_LIMIT_MS;

/** A running reactor. **Ownership**: ends its Worker when disposed. */
export class ReactorClient implements Disposable {
  readonly #thread: ReactorThread;
  readonly #commands: ReactorCommands;
  readonly #events: ReactorEvents;
  readonly #lanes: Lanes;
  readonly #store: ManagerFdStore | undefined;
  readonly #endpoints = new Endpoints();
  readonly #chips: HostChips;
  readonly #withdrawals: Withdrawals;

  private constructor(
    thread: ReactorThread,
    commands: OwnedFd,
    events: ReactorEvents,
    store: ManagerFdStore | undefined,
    laneProgram: URL | undefined,
  ) {
    this.#thread = thread;
    this.#commands = new ReactorCommands(commands);
    this.#withdrawals = new Withdrawals(this.#commands);
    this.#events = events;
    this.#store = store;
    this.#chips = new HostChips({
      unplugged: (aggregator, detail) =>
        events.service({ aggregator, event: "unplugged", detail }),
      plugged: (aggregator, detail) =>
        events.service({ aggregator, event: "plugged", detail }),
      removed: (name) => events.chipGone?.(name),
    });
    this.#lanes = new Lanes(store, {
      lost: (owners, detail) => {
        for (const aggregator of owners) {
          events.service({ aggregator, event: "fault", detail });
        }
      },
      fault: (text) => events.problem?.(text),
      problem: (text) => store?.report(text),
    }, laneProgram);
  }

  /**
   * Starts a reactor and waits until it accepts commands.
   *
   * @param store Store of fds across restarts, if any.
   * **Ownership**: lent, for as long as the reactor runs.
   * @param laneProgram Program of lanes' Workers; tests bring their own.
   * @param record Memory for edges; without it they are not recorded.
   * **Ownership**: of its fd, lent until the reactor accepts commands.
   */
  static async start(
    events: ReactorEvents,
    store?: ManagerFdStore,
    laneProgram?: URL,
    record?: RecordMemory,
  ): Promise<ReactorClient> {
    const [ours, theirs] = socketPair();
    const thread = takeReactorThread();
    const { worker, isWarmUp } = thread;
    const client = new ReactorClient(
      thread,
      ours,
      events,
      store,
      laneProgram,
    );
    const ready = Promise.withResolvers<void>();
    worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.kind === "crashed") ready.reject(toError(data.error));
      if (data.kind === "ready") ready.resolve();
      else if (data.kind !== "loaded") client.#receive(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(`The reactor failed: ${event.message}`);
      ready.reject(error);
      client.#crash(error);
    };
    const start: ReactorStart = {
      commandFd: theirs.release(),
      ...(isWarmUp ? { isWarmUp } : {}),
      ...(store === undefined ? {} : { notifySocket: store.notifySocket }),
      ...(record === undefined ? {} : { record }),
    };
    worker.postMessage(start);
    await ready.promise;
    return client;
  }

  /**
   * Makes aggregators and serves them: all, or none.
   *
   * **Ownership**: of fds in the specifications, also on failure.
   *
   * @throws {ConfigError} If the specification is invalid.
   * @throws {Error} If a line or socket cannot be obtained.
   */
  async add(
    aggregators: AggregatorSpecification[],
    options: AddOptions = {},
  ): Promise<AggregatorDescription[]> {
    using fds = new GivenFds(aggregators);
    using claimed = this.#endpoints.claim(aggregators);
    const addition = await this.#chips.begin(
      aggregators.filter(({ kernelChip }) => kernelChip),
    );
    let added: AggregatorDescription[] = [];
    try {
      added = await this.#addToReactor(
        [
          ...aggregators.filter(({ kernelChip }) => !kernelChip),
          ...addition.served,
        ],
        options,
        fds,
      );
      await addition.attach();
      claimed.move();
      return [...this.#chips.describeServed(added), ...addition.made];
    } catch (error) {
      if (options.leaves === true) throw error;
      await addition.undo();
      for (const { name } of added) await this.#takeBack(name);
      throw error;
    }
  }

  /** Removes what was added a moment ago, and was not reported yet. */
  async #takeBack(name: string): Promise<void> {
    try {
      await this.#withdrawals.untilSafe({ name });
      await this.#letGo(name, false);
    } catch {
      // The caller gets the reason for taking it back.
    }
  }

  async #addToReactor(
    aggregators: AggregatorSpecification[],
    options: AddOptions,
    fds: GivenFds,
  ): Promise<AggregatorDescription[]> {
    const { leaves } = options;
    const { addition, ...laned } = await this.#lanes.start(aggregators, leaves);
    try {
      fds.release();
      const added = await this.#ask({ kind: "add", ...laned, ...options });
      addition.end(true);
      return added.aggregators;
    } catch (error) {
      if (leaves !== true) this.#lanes.abandon(laned.lanes, addition);
      throw error;
    }
  }

  /**
   * Ends one aggregator: guest disconnected, lines as declared and free,
   * sockets removed.
   *
   * @param limitMs Time to wait for lines that are not in their declared state
   * yet.
   * @returns Its last description.
   * @throws {UnsafeLinesError} If a line is not in its declared state by then.
   * The aggregator stays without a guest until all its lines are.
   * @throws {LinesHeldError} If it is removed, but a chip does not release a
   * line.
   * @throws {Error} If there is none of this name.
   */
  async remove(
    name: string,
    limitMs = SAFE_LIMIT_MS,
  ): Promise<AggregatorDescription> {
    return (await this.#remove(name, false, limitMs))[0]!;
  }

  /**
   * Ends one aggregator, and its second exposure if it has one.
   *
   * @returns Their last descriptions.
   * @throws {UnsafeLinesError} As {@linkcode ReactorClient.remove} does.
   * @throws {LinesHeldError} If they are removed, but a chip does not release a
   * line.
   * @throws {Error} If there is none of this name.
   */
  async removeWhole(name: string): Promise<AggregatorDescription[]> {
    return await this.#remove(name, true);
  }

  async #remove(
    name: string,
    isWhole: boolean,
    limitMs = SAFE_LIMIT_MS,
  ): Promise<AggregatorDescription[]> {
    const chip = await this.#chips.remove(name);
    if (chip !== undefined) {
      this.#endpoints.release(name);
      return [chip];
    }
    const unsafe = await this.#withdrawals.untilSafe(
      { name, isWhole },
      limitMs,
    );
    if (unsafe.length > 0) {
      this.#withdrawals.finishLater(name, isWhole, {
        remove: () => this.#letGo(name, isWhole),
        removed: () => this.#events.removedLate?.(name),
      });
      throw new UnsafeLinesError(name, unsafe, limitMs);
    }
    return await this.#letGo(name, isWhole);
  }

  /** Removes an aggregator whose lines are in their declared state. */
  async #letGo(
    name: string,
    isWhole: boolean,
  ): Promise<AggregatorDescription[]> {
    const untilFree = await this.#lanes.leave(name);
    const { aggregators } = await this.#ask({ kind: "remove", name, isWhole });
    for (const { name } of aggregators) this.#endpoints.release(name);
    const held = await untilFree();
    if (held.length > 0) throw new LinesHeldError(aggregators, held);
    return aggregators;
  }

  /** Returns the rules that do not hold and are retried. */
  async pending(): Promise<PendingLine[]> {
    return (await this.#ask({ kind: "pending" })).pending ?? [];
  }

  /**
   * Replaces the rules of aggregators' lines, under their guests.
   *
   * @throws {Error} If one is not served, or a line cannot change its rules.
   */
  async changeRules(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    return (await this.#ask({ kind: "rules", aggregators })).aggregators;
  }

  /** Replaces all interlocks. */
  async setInterlocks(
    interlocks: readonly InterlockSpecification[],
  ): Promise<void> {
    await this.#ask({ kind: "interlocks", interlocks });
  }

  /** Describes one aggregator, if it is served, or all. */
  async describe(name?: string): Promise<AggregatorDescription[]> {
    const chips = this.#chips.describe(name);
    if (name !== undefined && chips.length > 0) return chips;
    if (name === undefined) {
      const { aggregators } = await this.#ask({ kind: "describe" });
      return [...this.#chips.describeServed(aggregators), ...chips];
    }
    const { aggregators } = await this.#ask({ kind: "describe", name });
    return this.#chips.describeServed(aggregators);
  }

  /**
   * Pulls simulated lines of one aggregator: all, or none.
   *
   * @throws {Error} If there is no such aggregator or line, or a line is not
   * simulated.
   */
  async pull(
    name: string,
    changes: [line: string, level: 0 | 1][],
  ): Promise<AggregatorDescription> {
    return (await this.#ask({ kind: "pull", name, changes })).aggregators[0]!;
  }

  /**
   * Plays values into simulated lines of one aggregator, and returns the state.
   *
   * @throws {Error} If there is no such aggregator or line, a line is not
   * simulated, or it is being played into already.
   */
  async play(name: string, play: PlayCommand): Promise<PlayState> {
    return (await this.#ask({ kind: "play", name, play })).play!;
  }

  /**
   * Holds lines of one aggregator at values, or ends that.
   *
   * @throws {Error} If there is no such aggregator or line, or a line cannot be
   * forced, with the reason.
   */
  async force(
    name: string,
    force: ForceCommand,
  ): Promise<AggregatorDescription> {
    return (await this.#ask({ kind: "force", name, force })).aggregators[0]!;
  }

  /** Starts or stops reports of changed lines. */
  async observe(on: boolean): Promise<void> {
    await this.#ask({ kind: "observe", on });
  }

  /** Returns the counters. */
  async count(): Promise<AggregatorCounts[]> {
    const { counts = [] } = await this.#ask({ kind: "count" });
    return this.#chips.count(counts);
  }

  /** Closes what an earlier process left and no line took over. */
  async dropUnused(): Promise<void> {
    await this.#ask({ kind: "taken-over" });
    this.#store?.dropRest();
  }

  /**
   * Ends what the next process cannot take over. It takes over the rest as it
   * is, by the kept fds: nothing is served from now on.
   *
   * @returns False if something may go on until this process has ended: what a
   * lane does, or a reactor that does not answer.
   */
  async handOver(): Promise<boolean> {
    const isOnlyReactor = !this.#lanes.isAnyRunning && !this.#chips.areUsed;
    await this.#chips[Symbol.asyncDispose]();
    // One that hangs leaves its lines and sessions as a crash does.
    let hasAnswered = false;
    await settlesWithin(
      this.#ask({ kind: "hand-over" }).then(
        () => hasAnswered = true,
        () => {},
      ),
      HAND_OVER_MS,
    );
    return isOnlyReactor && hasAnswered;
  }

  /**
   * Ends everything that is served, in order.
   *
   * @param others What else has to be safe before the reactor ends: until then
   * it can be asked to help.
   * @throws {UnsafeLinesError} If a line is not in its declared state after 5
   * s; it is released as it is.
   */
  async shutdown(others?: Promise<unknown>): Promise<void> {
    const chips = this.#chips[Symbol.asyncDispose]();
    // The lines come first, whatever the outcome of the removals.
    chips.catch(() => {});
    const unsafe = await this.#withdrawals.untilSafe({});
    await others;
    await this.#ask({ kind: "shutdown" });
    if (unsafe.length > 0) {
      // A chip that does not answer has had its time.
      await settlesWithin(this.#lanes.closed(), LANES_LIMIT_MS);
      await settlesWithin(chips.catch(() => {}), LANES_LIMIT_MS);
      throw new UnsafeLinesError(undefined, unsafe);
    }
    await this.#lanes.closed();
    await chips;
  }

  [Symbol.dispose](): void {
    this.#commands[Symbol.dispose]();
    returnThread(this.#thread);
  }

  #ask(command: Command): Promise<Answer> {
    return this.#commands.ask(command);
  }

  #receive(report: Exclude<Report, { kind: "ready" | "loaded" }>): void {
    switch (report.kind) {
      case "part":
      case "done":
      case "failed":
        return this.#commands.answered(report);
      case "problem":
        return this.#events.problem?.(report.text);
      case "event":
        return this.#events.service(report.event);
      case "changes":
        return this.#events.changes?.(report.changes);
      case "recorded":
        return this.#events.recorded?.(report.lines);
      case "unrecorded":
        return this.#events.unrecorded?.(report.firstId, report.count);
      case "crashed":
        return this.#crash(
          new Error(`The reactor failed: ${report.error.message}`),
        );
      case "idle":
        return this.#events.idle();
    }
  }

  #crash(error: Error): void {
    this.#commands.crashed(error);
    this.#events.crashed(error);
  }
}

/**
 * Waits for lines to reach their declared state at the end.
 *
 * @throws {Error} If a chip that does not answer prevents that for 5 s, and any
 * error of `shutdown`.
 */
export async function declaredState(
  shutdown: Promise<void>,
  limitMs = SHUTDOWN_LIMIT_MS,
): Promise<void> {
  if (await settlesWithin(shutdown, limitMs)) return;
  throw new Error(
    `The lines did not reach their declared state within ` +
      `${limitMs / 1000} s: a chip does not answer`,
  );
}
