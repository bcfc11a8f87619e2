/**
 * The main isolate's side of the reactor: starts the Worker, sends commands,
 * hears reports.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send, socketPair } from "../../ffi/unix_socket.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../config/specification.ts";
import { encodeFrame } from "./command_channel.ts";
import { Endpoints } from "./endpoints.ts";
import type { FdStore } from "./fd_store.ts";
import { GivenFds } from "./given_fds.ts";
import type { KernelChips } from "./kernel_chips.ts";
import { Lanes, LinesHeldError } from "./lanes.ts";
import {
  type AggregatorCounts,
  type AggregatorDescription,
  type Answer,
  type Command,
  errorOf,
  type LineChanges,
  type Report,
  type ServiceEvent,
} from "./messages.ts";
import type { ReactorStart } from "./reactor_worker.ts";
import { within } from "./within.ts";

/** What the service hears from its reactor. */
export interface ReactorEvents {
  /** Something happened to an aggregator. */
  service(event: ServiceEvent): void;
  /** Lines changed while {@linkcode ReactorClient.observe} is on. */
  changes?(changes: LineChanges): void;
  /** Somebody else took a kernel chip down; it is listed until it is removed. */
  chipGone?(name: string): void;
  /** Nothing is left to serve. */
  idle(): void;
  /** The reactor, or a lane under it, died of `error`. */
  crashed(error: Error): void;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** Time that lines get to reach their declared state. **Units**: ms. */
const SHUTDOWN_LIMIT_MS = 5000;

/** A running reactor. **Ownership**: ends its Worker when disposed. */
export class ReactorClient implements Disposable {
  readonly #worker: Worker;
  readonly #commands: OwnedFd;
  readonly #events: ReactorEvents;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lanes: Lanes;
  readonly #store: FdStore | undefined;
  readonly #endpoints = new Endpoints();
  #kernelChips: KernelChips | undefined;
  /** Since when each is there. **Units**: ms on the monotonic clock. */
  readonly #chipsSince = new Map<string, number>();
  readonly #outgoing: Uint8Array[] = [];
  #nextId = 1;

  private constructor(
    worker: Worker,
    commands: OwnedFd,
    events: ReactorEvents,
    store: FdStore | undefined,
  ) {
    this.#worker = worker;
    this.#commands = commands;
    this.#events = events;
    this.#store = store;
    this.#lanes = new Lanes(store, (error) => this.#crash(error));
  }

  /**
   * Starts a reactor and waits until it takes commands.
   *
   * @param store Where fds are kept across restarts, if anywhere. **Ownership**:
   * lent, for as long as the reactor runs.
   */
  static async start(
    events: ReactorEvents,
    store?: FdStore,
  ): Promise<ReactorClient> {
    const [ours, theirs] = socketPair();
    const worker = new Worker(new URL("./reactor_worker.ts", import.meta.url), {
      type: "module",
      name: "reactor",
    });
    const client = new ReactorClient(worker, ours, events, store);
    const ready = Promise.withResolvers<void>();
    worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.kind === "ready") ready.resolve();
      else client.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(`The reactor failed: ${event.message}`);
      ready.reject(error);
      client.#crash(error);
    };
    const start: ReactorStart = {
      commandFd: theirs.release(),
      ...(store === undefined ? {} : { notifySocket: store.notifySocket }),
    };
    worker.postMessage(start);
    await ready.promise;
    return client;
  }

  /**
   * Makes aggregators and serves them: all, or none.
   *
   * **Ownership**: of fds in the specifications, whatever comes of it.
   *
   * @param options `isTimed`: measure how long guests' requests take.
   * @throws {ConfigError} If the specification is the user's to mend.
   * @throws {Error} If a line or socket cannot be had.
   */
  async add(
    aggregators: AggregatorSpecification[],
    options: { isTimed?: boolean } = {},
  ): Promise<AggregatorDescription[]> {
    using fds = new GivenFds(aggregators);
    using claimed = this.#endpoints.claim(aggregators);
    const ofKernel = aggregators.filter(({ kernelChip }) => kernelChip);
    const ofReactor = aggregators.filter(({ kernelChip }) => !kernelChip);
    const chips = await this.#addKernelChips(ofKernel);
    try {
      const added = await this.#addToReactor(ofReactor, options, fds);
      claimed.move();
      return [...added, ...chips];
    } catch (error) {
      for (const { name } of chips) await this.#kernelChips?.remove(name);
      throw error;
    }
  }

  async #addToReactor(
    aggregators: AggregatorSpecification[],
    options: { isTimed?: boolean },
    fds: GivenFds,
  ): Promise<AggregatorDescription[]> {
    const { addition, ...laned } = await this.#lanes.start(aggregators);
    try {
      fds.release();
      const added = await this.#ask({ kind: "add", ...laned, ...options });
      addition.end(true);
      return added.aggregators;
    } catch (error) {
      this.#lanes.abandon(laned.lanes, addition);
      throw error;
    }
  }

  async #addKernelChips(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    if (aggregators.length === 0) return [];
    // Loaded for those who ask for it.
    const { KernelChips } = await import("./kernel_chips.ts");
    this.#kernelChips ??= new KernelChips((name, path) => {
      this.#events.service({
        aggregator: name,
        event: "unplugged",
        detail: `${path} was taken down by somebody else`,
      });
      this.#events.chipGone?.(name);
    });
    const added = await this.#kernelChips.add(aggregators);
    const now = performance.now();
    for (const { name } of added) this.#chipsSince.set(name, now);
    return added;
  }

  /**
   * Ends one aggregator: guest disconnected, lines as declared and free, sockets
   * gone.
   *
   * @returns What it was.
   * @throws {LinesHeldError} If it is gone, but a chip does not let a line go.
   * @throws {Error} If there is none of this name.
   */
  async remove(name: string): Promise<AggregatorDescription> {
    return (await this.#remove(name, false))[0]!;
  }

  /**
   * Ends one aggregator, and its second exposure if it has one.
   *
   * @returns What they were.
   * @throws {LinesHeldError} If they are gone, but a chip does not let a line go.
   * @throws {Error} If there is none of this name.
   */
  async removeWhole(name: string): Promise<AggregatorDescription[]> {
    return await this.#remove(name, true);
  }

  async #remove(
    name: string,
    isWhole: boolean,
  ): Promise<AggregatorDescription[]> {
    const chip = await this.#kernelChips?.remove(name);
    if (chip !== undefined) {
      this.#endpoints.release(name);
      this.#chipsSince.delete(name);
      return [chip];
    }
    const untilFree = await this.#lanes.leave(name);
    const { aggregators } = await this.#ask({ kind: "remove", name, isWhole });
    for (const { name } of aggregators) this.#endpoints.release(name);
    const held = await untilFree();
    if (held.length > 0) throw new LinesHeldError(aggregators, held);
    return aggregators;
  }

  /**
   * Gives the lines of aggregators other rules, under their guests.
   *
   * @throws {Error} If one is not served, or a line cannot change its rules.
   */
  async changeRules(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    return (await this.#ask({ kind: "rules", aggregators })).aggregators;
  }

  /** Has these interlocks from now on, and no others. */
  async setInterlocks(
    interlocks: readonly InterlockSpecification[],
  ): Promise<void> {
    await this.#ask({ kind: "interlocks", interlocks });
  }

  /** Tells what is served: the one of this name, if there is one, or all. */
  async describe(name?: string): Promise<AggregatorDescription[]> {
    const chips = this.#kernelChips?.describe(name) ?? [];
    if (name !== undefined && chips.length > 0) return chips;
    if (name === undefined) {
      const pages = await this.#askForPages("describe");
      return [...pages.flatMap(({ aggregators }) => aggregators), ...chips];
    }
    return (await this.#ask({ kind: "describe", name })).aggregators;
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

  /** Begins or ends hearing of changed lines. */
  async observe(on: boolean): Promise<void> {
    await this.#ask({ kind: "observe", on });
  }

  /** Tells what was counted. */
  async count(): Promise<AggregatorCounts[]> {
    const pages = await this.#askForPages("count");
    const chips = this.#kernelChips?.count() ?? [];
    return [
      ...pages.flatMap(({ counts = [] }) => counts),
      ...chips.map((chip) => ({
        ...chip,
        uptimeMs: performance.now() - this.#chipsSince.get(chip.name)!,
      })),
    ];
  }

  /** Asks for all that is served, of which each turn tells a part. */
  async #askForPages(kind: "describe" | "count"): Promise<Answer[]> {
    const pages = [await this.#ask({ kind })];
    for (
      let after = pages[0]!.more;
      after !== undefined;
      after = pages.at(-1)!.more
    ) pages.push(await this.#ask({ kind, after }));
    return pages;
  }

  /** Lets go what an earlier process left and nobody took over. */
  async dropUnused(): Promise<void> {
    await this.#ask({ kind: "taken-over" });
    this.#store?.dropRest();
  }

  /**
   * Ends what the next process can only make anew. It takes over the rest as it
   * is, with what is kept of it.
   */
  async handOver(): Promise<void> {
    await this.#kernelChips?.[Symbol.asyncDispose]();
  }

  /** Ends everything that is served, in order. */
  async shutdown(): Promise<void> {
    try {
      await this.#kernelChips?.[Symbol.asyncDispose]();
    } finally {
      await this.#ask({ kind: "shutdown" });
      await this.#lanes.closed();
    }
  }

  [Symbol.dispose](): void {
    this.#commands.close();
    this.#worker.terminate();
  }

  #ask(command: Command): Promise<Answer> {
    const id = this.#nextId++;
    const bytes = encodeFrame({ id, command });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#outgoing.push(bytes);
      if (this.#outgoing.length === 1) this.#write();
    });
  }

  #write(): void {
    for (
      let bytes = this.#outgoing[0];
      bytes !== undefined;
      bytes = this.#outgoing[0]
    ) {
      const sent = Math.max(0, send(this.#commands.fd, bytes));
      if (sent < bytes.length) {
        // The reactor is busy and its socket full: it reads in a moment.
        this.#outgoing[0] = bytes.subarray(sent);
        setTimeout(() => this.#write(), 1);
        return;
      }
      this.#outgoing.shift();
    }
  }

  #hear(report: Exclude<Report, { kind: "ready" }>): void {
    switch (report.kind) {
      case "done":
        return this.#take(report.id)?.resolve(report);
      case "failed":
        return this.#take(report.id)?.reject(errorOf(report.error));
      case "problem":
        return this.#store?.report(report.text);
      case "event":
        return this.#events.service(report.event);
      case "changes":
        return this.#events.changes?.(report.changes);
      case "idle":
        return this.#events.idle();
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #crash(error: Error): void {
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(error);
    this.#events.crashed(error);
  }
}

/**
 * Waits for lines to reach their declared state at the end.
 *
 * @throws {Error} If a chip that does not answer keeps one from it for 5 s, and
 * whatever `shutdown` throws.
 */
export async function declaredState(shutdown: Promise<void>): Promise<void> {
  if (await within(shutdown, SHUTDOWN_LIMIT_MS)) return;
  throw new Error(
    `The lines did not reach their declared state within ` +
      `${SHUTDOWN_LIMIT_MS / 1000} s: a chip does not answer`,
  );
}
