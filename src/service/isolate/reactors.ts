/**
 * All that serves the aggregators of a service: the reactor of the service's own
 * process, and a process for each aggregator that is isolated.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { EdgeStore } from "../record/edge_store.ts";
import { StoreRoom, unkeptCards } from "./store_room.ts";
import type { ManagerFdStore } from "../restart/manager_fd_store.ts";
import { keptNames, LinesHeldError } from "../lanes/lanes.ts";
import type {
  AddOptions,
  AggregatorCounts,
  AggregatorDescription,
  ForceCommand,
  PendingLine,
  PlayCommand,
} from "../messages/messages.ts";
import {
  ReactorClient,
  type ReactorEvents,
  SHUTDOWN_LIMIT_MS,
} from "../reactor/reactor_client.ts";
import { SAFE_LIMIT_MS } from "../messages/unsafe_lines_error.ts";
import { IsolatedAggregator } from "./isolated_aggregator.ts";
import { LostLines } from "./lost_lines.ts";
import { PROCESS_END_MS, throwFirst } from "./process_end.ts";

/** Serves aggregators, in this process or in processes of their own. */
export type AggregatorServer =
  & Pick<
    ReactorClient,
    | "add"
    | "remove"
    | "removeWhole"
    | "pending"
    | "changeRules"
    | "setInterlocks"
    | "describe"
    | "pull"
    | "play"
    | "force"
    | "observe"
    | "count"
    | "dropUnused"
    | "handOver"
    | "shutdown"
  >
  & {
    /** Names of the aggregators that are served. */
    readonly names: Iterable<string>;
  };

/** Number of aggregators and lines that are served. */
export interface ServedCount {
  readonly aggregators: number;
  readonly lines: number;
}

/** Events of all reactors. */
interface ReactorsEvents extends ReactorEvents {
  /** Aggregators were added or removed. */
  servedChanged?(count: ServedCount): void;
}

/** A reactor, and processes beside it. **Ownership**: ends all of them. */
export class Reactors implements AggregatorServer, Disposable {
  readonly #own: ReactorClient;
  readonly #events: ReactorsEvents;
  readonly #store: ManagerFdStore | undefined;
  readonly #edges: EdgeStore | undefined;
  /** By the name of the aggregator, and of its second exposure. */
  readonly #isolated = new Map<string, IsolatedAggregator>();
  /** Number of lines of each aggregator. */
  readonly #lineCounts: Map<string, number>;
  readonly #room: StoreRoom | undefined;
  /** Names that are being added. */
  readonly #coming = new Set<string>();
  #interlocks: readonly InterlockSpecification[] = [];
  #isObserved = false;

  private constructor(
    own: ReactorClient,
    events: ReactorsEvents,
    store: ManagerFdStore | undefined,
    lineCounts: Map<string, number>,
    edges: EdgeStore | undefined,
    room: StoreRoom | undefined,
  ) {
    this.#edges = edges;
    this.#room = room;
    this.#own = own;
    this.#events = events;
    this.#store = store;
    this.#lineCounts = lineCounts;
  }

  /**
   * Starts the service's own reactor; see {@linkcode ReactorClient.start}.
   *
   * @param edges Records of edges: one for each reactor.
   */
  static async start(
    events: ReactorsEvents,
    store?: ManagerFdStore,
    edges?: EdgeStore,
  ): Promise<Reactors> {
    const lineCounts = new Map<string, number>();
    const limit = store?.limit;
    const room = limit === undefined
      ? undefined
      : new StoreRoom(limit, (problem) => events.problem?.(problem));
    const all: ReactorsEvents = {
      ...events,
      removedLate: (name) => {
        lineCounts.delete(name);
        room?.remove(name);
        events.removedLate?.(name);
        events.servedChanged?.(countServed(lineCounts));
      },
    };
    const record = edges?.open();
    const own = await ReactorClient.start(
      {
        ...all,
        recorded: (lines) => record?.began(lines),
        unrecorded: (firstId, count) => record?.ended(firstId, count),
      },
      store,
      undefined,
      record?.memory,
    );
    return new Reactors(own, all, store, lineCounts, edges, room);
  }

  get names(): Iterable<string> {
    return this.#lineCounts.keys();
  }

  /** Makes aggregators and serves them; see {@linkcode ReactorClient.add}. */
  async add(
    aggregators: AggregatorSpecification[],
    options: AddOptions = {},
  ): Promise<AggregatorDescription[]> {
    const added = await this.#add(aggregators, options);
    this.#room?.add(aggregators);
    const problem = this.#store === undefined
      ? unkeptCards(aggregators)
      : undefined;
    if (problem !== undefined) this.#events.problem?.(problem);
    for (const { name, lines } of added) {
      this.#lineCounts.set(name, lines.length);
    }
    this.#events.servedChanged?.(countServed(this.#lineCounts));
    return added;
  }

  async #add(
    aggregators: AggregatorSpecification[],
    options: AddOptions,
  ): Promise<AggregatorDescription[]> {
    const isolated = aggregators.filter(({ isolate }) => isolate);
    if (isolated.length === 0) return await this.#addOwn(aggregators, options);
    const own = aggregators.filter(({ isolate }) => !isolate);
    const added = new Map<string, AggregatorDescription>();
    try {
      for (const one of await this.#addOwn(own, options)) {
        added.set(one.name, one);
      }
      for (const specification of isolated) {
        for (const one of await this.#addIsolated(specification, options)) {
          added.set(one.name, one);
        }
      }
    } catch (error) {
      if (options.leaves === true) throw error;
      for (const name of [...added.keys()].toReversed()) {
        await this.remove(name).catch(() => {});
      }
      throw error;
    }
    return aggregators.map(({ name }) => added.get(name)!);
  }

  /** Ends one aggregator; see {@linkcode ReactorClient.remove}. */
  async remove(
    name: string,
    ...rest: [limitMs?: number]
  ): Promise<AggregatorDescription> {
    const isolated = this.#isolated.get(name);
    const [removed] = await this.#forget(
      isolated === undefined
        ? this.#own.remove(name, ...rest).then((one) => [one])
        : this.#removeIsolated(
          isolated,
          () => isolated.remove(name, "remove", ...rest),
        ),
    );
    return removed!;
  }

  /** Ends one aggregator, and its second exposure if it has one. */
  async removeWhole(name: string): Promise<AggregatorDescription[]> {
    const isolated = this.#isolated.get(name);
    return await this.#forget(
      isolated === undefined
        ? this.#own.removeWhole(name)
        : this.#removeIsolated(
          isolated,
          () => isolated.remove(name, "removeWhole"),
        ),
    );
  }

  /** Counts what stays after the removal. */
  async #forget(
    removal: Promise<AggregatorDescription[]>,
  ): Promise<AggregatorDescription[]> {
    let removed: readonly AggregatorDescription[] = [];
    try {
      return removed = await removal;
    } catch (error) {
      if (error instanceof LinesHeldError) removed = error.removed;
      throw error;
    } finally {
      for (const { name } of removed) {
        this.#lineCounts.delete(name);
        this.#room?.remove(name);
      }
      this.#events.servedChanged?.(countServed(this.#lineCounts));
    }
  }

  /** Returns the rules that do not hold and are retried. */
  async pending(): Promise<PendingLine[]> {
    return await this.#all((one) => one.pending());
  }

  /** Replaces the rules of aggregators' lines, under their guests. */
  async changeRules(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    const changed: AggregatorDescription[] = [];
    for (const one of aggregators) {
      const server = this.#isolated.get(one.name) ?? this.#own;
      changed.push(...await server.changeRules([one]));
    }
    return changed;
  }

  /** Replaces all interlocks. */
  async setInterlocks(
    interlocks: readonly InterlockSpecification[],
  ): Promise<void> {
    this.#interlocks = interlocks;
    const isIsolated = ({ exclusive }: InterlockSpecification) =>
      exclusive.some(({ aggregator }) => this.#isolated.has(aggregator));
    await this.#own.setInterlocks(
      interlocks.filter((one) => !isIsolated(one)),
    );
    for (const one of this.#processes()) {
      await one.setInterlocks(this.#selectInterlocks(one.names));
    }
  }

  /** Describes one aggregator, if it is served, or all. */
  async describe(name?: string): Promise<AggregatorDescription[]> {
    if (name !== undefined) {
      const server = this.#isolated.get(name) ?? this.#own;
      return await server.describe(name);
    }
    return await this.#all((one) => one.describe());
  }

  /** Pulls simulated lines of one aggregator: all, or none. */
  async pull(
    name: string,
    changes: [line: string, level: 0 | 1][],
  ): Promise<AggregatorDescription> {
    return await (this.#isolated.get(name) ?? this.#own).pull(name, changes);
  }

  /** Plays values into simulated lines of one aggregator. */
  async play(name: string, play: PlayCommand): Promise<PlayState> {
    return await (this.#isolated.get(name) ?? this.#own).play(name, play);
  }

  /** Holds lines of one aggregator at values, or ends that. */
  async force(
    name: string,
    force: ForceCommand,
  ): Promise<AggregatorDescription> {
    return await (this.#isolated.get(name) ?? this.#own).force(name, force);
  }

  /** Starts or stops reports of changed lines. */
  async observe(on: boolean): Promise<void> {
    this.#isObserved = on;
    await this.#own.observe(on);
    for (const one of this.#processes()) await one.observe(on);
  }

  /** Returns the counters. */
  async count(): Promise<AggregatorCounts[]> {
    return await this.#all<AggregatorCounts>((one) => one.count());
  }

  /** Closes what an earlier process left and no line took over. */
  async dropUnused(): Promise<void> {
    for (const one of this.#processes()) await one.dropUnused();
    await this.#own.dropUnused();
  }

  /** Ends what the next process cannot take over. */
  async handOver(): Promise<boolean> {
    const isQuiet = await Promise.all([
      this.#own.handOver(),
      ...this.#processes().map((one) => one.handOver()),
    ]);
    return !isQuiet.includes(false);
  }

  /** Limit of {@linkcode Reactors.shutdown}. **Units**: milliseconds. */
  get shutdownLimitMs(): number {
    return this.#isolated.size === 0
      ? SHUTDOWN_LIMIT_MS
      : SHUTDOWN_LIMIT_MS - SAFE_LIMIT_MS + PROCESS_END_MS;
  }

  /**
   * Ends everything that is served, in order.
   *
   * @throws {UnsafeLinesError} If a line is not in its declared state.
   */
  async shutdown(): Promise<void> {
    const lost = new LostLines(this.#own, this.#interlocks);
    const processes = Promise.allSettled(
      this.#processes().map((one) =>
        one.shutdown((aggregators) => lost.makeSafe(aggregators))
      ),
    );
    const [own] = await Promise.allSettled([this.#own.shutdown(processes)]);
    throwFirst([...await processes, own]);
  }

  [Symbol.dispose](): void {
    for (const one of this.#processes()) one.end();
    this.#own[Symbol.dispose]();
  }

  async #addOwn(
    aggregators: AggregatorSpecification[],
    options: AddOptions,
  ): Promise<AggregatorDescription[]> {
    for (const { name } of aggregators) {
      if (this.#isolated.has(name) || this.#coming.has(name)) throw taken(name);
    }
    return aggregators.length === 0
      ? []
      : await this.#own.add(aggregators, options);
  }

  async #addIsolated(
    specification: AggregatorSpecification,
    options: AddOptions,
  ): Promise<AggregatorDescription[]> {
    const { name, secondOf } = specification;
    const isTaken = this.#isolated.has(name) || this.#coming.has(name) ||
      (await this.#own.describe(name)).length > 0;
    if (isTaken) throw taken(name);
    this.#coming.add(name);
    const first = secondOf === undefined
      ? undefined
      : this.#isolated.get(secondOf);
    const isolated = first ?? await this.#startProcess(name);
    try {
      await isolated.setInterlocks(
        this.#selectInterlocks([...isolated.names, name]),
      );
      const kept = this.#store === undefined ||
          this.#store.leftNames.length === 0
        ? []
        : this.#store.share(keptNames([specification]));
      const added = await isolated.add([specification], options, kept);
      this.#isolated.set(name, isolated);
      return added;
    } catch (error) {
      if (first === undefined) isolated.end();
      throw error;
    } finally {
      this.#coming.delete(name);
    }
  }

  async #startProcess(name: string): Promise<IsolatedAggregator> {
    try {
      const isolated = await IsolatedAggregator.start({
        events: {
          ...this.#events,
          removedLate: (name) => {
            this.#left(name);
            this.#events.removedLate?.(name);
          },
        },
        store: this.#store,
        record: this.#edges?.open(),
      });
      if (this.#isObserved) await isolated.observe(true);
      return isolated;
    } catch (error) {
      this.#coming.delete(name);
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`Cannot start a process for ${name}: ${why}`, {
        cause: error,
      });
    }
  }

  async #removeIsolated(
    isolated: IsolatedAggregator,
    remove: () => Promise<AggregatorDescription[]>,
  ): Promise<AggregatorDescription[]> {
    try {
      return await remove();
    } finally {
      for (const [name, one] of this.#isolated) {
        if (one === isolated && !one.names.includes(name)) this.#left(name);
      }
    }
  }

  /** One is removed; its process ends with the last one. */
  #left(name: string): void {
    const isolated = this.#isolated.get(name);
    this.#isolated.delete(name);
    if (isolated !== undefined && isolated.names.length === 0) isolated.end();
  }

  #selectInterlocks(names: readonly string[]): InterlockSpecification[] {
    return this.#interlocks.filter(({ exclusive }) =>
      exclusive.every(({ aggregator }) => names.includes(aggregator))
    );
  }

  #processes(): IsolatedAggregator[] {
    return [...new Set(this.#isolated.values())];
  }

  async #all<T>(
    ask: (server: ReactorClient | IsolatedAggregator) => Promise<T[]>,
  ): Promise<T[]> {
    const answers = await Promise.all(
      [this.#own, ...this.#processes()].map(ask),
    );
    return answers.flat();
  }
}

function countServed(lineCounts: ReadonlyMap<string, number>): ServedCount {
  const lines = lineCounts.values().reduce((sum, count) => sum + count, 0);
  return { aggregators: lineCounts.size, lines };
}

function taken(name: string): ConfigError {
  return new ConfigError(`an aggregator "${name}" is served already`, {
    hint: "Choose another name, or remove that one first",
  });
}
