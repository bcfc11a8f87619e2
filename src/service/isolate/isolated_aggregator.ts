/**
 * A service's side of the process that serves one of its aggregators: starts
 * it, sends it commands, and restarts it when it dies.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import { settlesWithin, sleep } from "../../async/wait.ts";
import { withoutExposure, withoutInitial } from "./specifications.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import type { KeptFd, ManagerFdStore } from "../restart/manager_fd_store.ts";
import { UnsafeLinesError } from "../messages/unsafe_lines_error.ts";
import { keptNames } from "../lanes/lanes.ts";
import type {
  AddOptions,
  AggregatorDescription,
  ForceCommand,
  PendingLine,
  PlayCommand,
} from "../messages/messages.ts";
import type { ReactorEvents } from "../reactor/reactor_client.ts";
import {
  AggregatorChild,
  NoAnswerError,
  type StartProcess,
} from "./aggregator_child.ts";
import {
  type Added,
  AddedAggregators,
  type Down,
} from "./added_aggregators.ts";
import { type CallName, packFds } from "./messages.ts";
import { LostLines } from "./lost_lines.ts";
import { Notices, type NoticesOptions } from "./notices.ts";
import { endsItself, type MakeSafe, untilDead } from "./process_end.ts";

/** First and longest delay before it is restarted. **Units**: ms. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 30_000;
/**
 * Lifetime after which its death does not count as a repeated failure.
 * **Units**: ms.
 */
const STEADY_MS = 60_000;
/** Limit of a process's end before a restart. **Units**: milliseconds. */
const HAND_OVER_MS = 5000;
/** Fds of one message; the kernel takes 253. */
const FDS_AT_ONCE = 200;

/** Events of an isolated aggregator, and what it needs of the service. */
interface IsolatedOptions extends NoticesOptions {
  /** The manager that keeps fds across restarts, if there is one. */
  readonly store:
    | (
      & Pick<ManagerFdStore, "notifySocket" | "drop">
      & Partial<Pick<ManagerFdStore, "lifeFd">>
    )
    | undefined;
  /**
   * Starts a process that serves at a socket. Default: this program, with
   * `serve-isolated`.
   */
  readonly startProcess?: StartProcess | undefined;
}

/**
 * One process, and the aggregator (with its second exposure) that it serves.
 */
export class IsolatedAggregator {
  readonly #options: IsolatedOptions;
  readonly #added = new AddedAggregators();
  #interlocks: readonly InterlockSpecification[] = [];
  #isObserved = false;
  /** The process, or the last one. */
  #child: AggregatorChild | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isOver = false;
  readonly #notices: Notices;
  /** Set while there is no process. */
  #down: Down | undefined;
  /** Set while another one takes its place. */
  #attempt: Promise<void> | undefined;

  private constructor(options: IsolatedOptions) {
    this.#options = options;
    this.#notices = new Notices(this.#added, options);
  }

  /**
   * Starts a process that serves nothing yet.
   *
   * @throws {Error} If it cannot be started.
   */
  static async start(options: IsolatedOptions): Promise<IsolatedAggregator> {
    const isolated = new IsolatedAggregator(options);
    try {
      await isolated.#start();
      return isolated;
    } catch (error) {
      // It serves nothing, and one that stands still would never end.
      isolated.#child?.kill();
      isolated.end();
      throw error;
    }
  }

  /** Process id; 0 while there is no process. */
  get pid(): number {
    return this.#down === undefined ? this.#child?.pid ?? 0 : 0;
  }

  /** Names of the aggregators that it serves. */
  get names(): string[] {
    return this.#added.names;
  }

  /**
   * Adds the aggregator, or its second exposure.
   *
   * **Ownership**: of fds in the specifications, and of those that are kept.
   */
  async add(
    aggregators: AggregatorSpecification[],
    { leaves = false, ...options }: AddOptions,
    kept: readonly KeptFd[] = [],
  ): Promise<AggregatorDescription[]> {
    this.#added.begin(aggregators);
    try {
      for (let first = 0; first < kept.length; first += FDS_AT_ONCE) {
        const some = kept.slice(first, first + FDS_AT_ONCE);
        const names = some.map(([name]) => name);
        this.#child?.say({ kind: "kept", names }, some.map(([, fd]) => fd));
      }
      const added = await this.#add(aggregators, { ...options, leaves });
      this.#added.set(aggregators, options, added);
      return this.#withPid(added);
    } catch (error) {
      for (const { name } of aggregators) this.#added.delete(name);
      throw error;
    } finally {
      this.#added.end(aggregators);
      for (const [, fd] of kept) new OwnedFd(fd, "a kept fd").close();
    }
  }

  /** Removes it, or only one of its exposures. */
  async remove(
    name: string,
    how: "remove" | "removeWhole",
    ...rest: unknown[]
  ): Promise<AggregatorDescription[]> {
    if (this.#down !== undefined) {
      throw new Error(`Cannot remove ${name} now: ${this.#down.reason}`);
    }
    // What it cannot put into its declared state in time is removed later.
    this.#added.ending(name);
    const result = await this.#call(how, [name, ...rest]);
    const removed = this.#own(
      (Array.isArray(result) ? result : [result]) as AggregatorDescription[],
    );
    for (const one of removed) this.#added.delete(one.name);
    return removed;
  }

  /** Replaces the rules of its lines. */
  async changeRules(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    const changed = await this.#call("changeRules", [aggregators]);
    for (const specification of aggregators) {
      const added = this.#added.get(specification.name);
      if (added !== undefined) added.specification = specification;
    }
    return changed as AggregatorDescription[];
  }

  /** Sets the interlocks, all of which are among its own lines. */
  async setInterlocks(
    interlocks: readonly InterlockSpecification[],
  ): Promise<void> {
    this.#interlocks = interlocks;
    if (this.#down === undefined) {
      await this.#call("setInterlocks", [interlocks]);
    }
  }

  /** Starts or stops reports of changed lines. */
  async observe(on: boolean): Promise<void> {
    this.#isObserved = on;
    if (this.#down === undefined) await this.#call("observe", [on]);
  }

  /** Pulls simulated lines. */
  async pull(name: string, changes: unknown): Promise<AggregatorDescription> {
    return await this.#call("pull", [name, changes]) as AggregatorDescription;
  }

  /** Plays values into simulated lines. */
  async play(name: string, play: PlayCommand): Promise<PlayState> {
    return await this.#call("play", [name, play]) as PlayState;
  }

  /** Holds lines at values, or ends that. */
  async force(
    name: string,
    force: ForceCommand,
  ): Promise<AggregatorDescription> {
    return await this.#call("force", [name, force]) as AggregatorDescription;
  }

  /**
   * Returns what it serves as the process reports it. Without a process: as
   * last known, with the reason at each line.
   */
  async describe(name?: string): Promise<AggregatorDescription[]> {
    if (this.#down === undefined) {
      try {
        const described = this.#own(
          await this.#call(
            "describe",
            name === undefined ? [] : [name],
          ) as AggregatorDescription[],
        );
        for (const one of described) {
          const added = this.#added.get(one.name);
          if (added !== undefined) added.last = one;
        }
        return this.#withPid(described);
      } catch (error) {
        if (this.#down === undefined) throw error;
      }
    }
    return this.#added.asDown(this.#down, name);
  }

  /** Returns rules that do not hold; without a process all are unknown. */
  async pending(): Promise<PendingLine[]> {
    if (this.#down === undefined) {
      try {
        const pending = await this.#call("pending", []) as PendingLine[];
        return pending.filter((one) => this.#added.isOwn(one.aggregator));
      } catch (error) {
        if (this.#down === undefined) throw error;
      }
    }
    return this.#added.pendingAsDown(this.#down);
  }

  /** Returns its counters; none while there is no process. */
  async count<T extends { name: string }>(): Promise<T[]> {
    if (this.#down !== undefined) return [];
    try {
      return this.#own(await this.#call("count", []) as T[]);
    } catch (error) {
      if (this.#down === undefined) throw error;
      return [];
    }
  }

  /** Closes what an earlier process left and no line took over. */
  async dropUnused(): Promise<void> {
    if (this.#down === undefined) await this.#call("dropUnused", []);
  }

  /**
   * Ends the process with its lines in their declared state. A process that is
   * gone, stands still or does not come to its end leaves that to `makeSafe`:
   * the start of another one may take longer than a busy machine gives it.
   *
   * @throws {UnsafeLinesError} If some lines are not.
   * @throws {Error} If `makeSafe` fails.
   */
  async shutdown(makeSafe: MakeSafe): Promise<void> {
    this.#isOver = true;
    try {
      if (this.#down === undefined && await endsItself(this.#child!)) return;
      await this.#leaveTo(makeSafe);
    } finally {
      this.end();
    }
  }

  /** Has the lines of a process that cannot do it put into their state. */
  async #leaveTo(makeSafe: MakeSafe): Promise<void> {
    const child = this.#child;
    child?.kill();
    this.#abandon("did not come to its end, and was killed");
    if (child !== undefined) await untilDead(child);
    const unexposed = this.#unexposed(this.#added.all);
    if (unexposed.length === 0) return;
    try {
      await makeSafe(unexposed);
    } catch (error) {
      if (error instanceof UnsafeLinesError) throw error;
      const names = this.names.join(", ");
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(
        `The lines of ${names} may not be in their declared state: ${why}`,
        { cause: error },
      );
    }
  }

  /**
   * Ends the process at once and leaves its lines as they are for the next
   * service.
   *
   * @returns False if it has not ended by now.
   */
  async handOver(): Promise<boolean> {
    this.#isOver = true;
    const child = this.#child;
    if (child === undefined) return true;
    if (this.#down !== undefined) return false;
    child.say({ kind: "hand-over" });
    // One that hangs would keep its lines from the next process.
    const hasEnded = await settlesWithin(child.ended, HAND_OVER_MS);
    if (!hasEnded) child.kill();
    return hasEnded;
  }

  /** Ends the process as the service's death does. Idempotent. */
  end(): void {
    this.#isOver = true;
    this.#added.closeListeners();
    this.#child?.abandon(new Error("The process of the aggregator is ended"));
    this.#options.record?.close();
  }

  async #start(): Promise<void> {
    const { startProcess, store, record } = this.#options;
    this.#child = new AggregatorChild({
      receive: (notice) => this.#notices.receive(notice),
      ended: () => this.#died("ended unexpectedly"),
    }, {
      startProcess,
      notifySocket: store?.notifySocket,
      lifeFd: store?.lifeFd,
      record: record?.memory,
      lines: () => this.#added.mostLines,
    });
    await this.#child.untilReady();
  }

  async #add(
    aggregators: readonly AggregatorSpecification[],
    options: AddOptions,
  ): Promise<AggregatorDescription[]> {
    // Stored before the lines exist: none may be driven against an interlock.
    if (this.#interlocks.length > 0) {
      await this.#call("setInterlocks", [this.#interlocks]);
    }
    return await this.#addToProcess(aggregators, options);
  }

  async #addToProcess(
    aggregators: readonly AggregatorSpecification[],
    options: AddOptions,
  ): Promise<AggregatorDescription[]> {
    const { aggregators: packed, fds } = packFds(aggregators);
    const added = await this.#call(
      "add",
      [packed, options],
      fds,
    ) as AggregatorDescription[];
    const isWhole = added.length === aggregators.length &&
      added.every(({ name }, i) => name === aggregators[i]!.name);
    if (!isWhole) throw new Error("Its process does not have what was added");
    return added;
  }

  #died(how: string): void {
    this.#abandon(how);
    this.#notices.processEnded();
    if (this.#down !== undefined || this.#isOver) return;
    const reason = `its process ${how}, and is restarted`;
    this.#down = { reason, since: Date.now() };
    const detail = `its process ${how}`;
    const fault = `${detail}: restarted, lines made safe first`;
    for (const { last } of this.#added.all) {
      const { name: aggregator, connected } = last;
      last.connected = false;
      if (connected) this.#tell({ aggregator, event: "disconnected", detail });
      this.#tell({ aggregator, event: "fault", detail: fault });
    }
    if (performance.now() - (this.#child?.startedMs ?? 0) > STEADY_MS) {
      this.#retryMs = FIRST_RETRY_MS;
    }
    if (this.#added.size > 0) void this.#revive();
  }

  #tell(event: Parameters<ReactorEvents["service"]>[0]): void {
    this.#options.events.service(event);
  }

  /** Restarts it, with no limit of attempts. */
  async #revive(): Promise<void> {
    for (;;) {
      await sleep(this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
      if (this.#isOver) return;
      try {
        this.#attempt = this.#start().then(() => this.#resume());
        await this.#attempt;
        this.#down = undefined;
        this.#tellServed();
        return;
      } catch (error) {
        if (this.#isOver) return;
        const why = error instanceof Error ? error.message : String(error);
        this.#options.events.problem?.(
          `${this.names} cannot be served again yet: ${why}`,
        );
        // A process that starts but cannot serve is replaced.
        this.#child?.kill();
        this.#abandon("failed after its start");
      } finally {
        this.#attempt = undefined;
      }
    }
  }

  /**
   * Makes its lines safe, which the dead process cannot have done, and
   * continues.
   */
  async #resume(): Promise<void> {
    const added = this.#added.all;
    const specifications = added.map(({ specification }) =>
      withoutInitial(this.#added.withListener(specification))
    );
    await new LostLines({
      add: (some) => this.#addToProcess(some, {}),
      remove: (...args) => this.#call("remove", args),
      setInterlocks: (interlocks) => this.#call("setInterlocks", [interlocks]),
    }, this.#interlocks).makeSafe(this.#unexposed(added));
    for (const [i, one] of added.entries()) {
      const [last] = await this.#add([specifications[i]!], one.options);
      one.last = last!;
    }
    await this.#call("dropUnused", []);
    if (this.#isObserved) await this.#call("observe", [true]);
  }

  /** Returns what makes their lines safe, once each, and serves nothing. */
  #unexposed(added: readonly Added[]): AggregatorSpecification[] {
    const all = added.map(({ specification }) => specification);
    // The manager's copies keep the lines busy.
    for (const name of keptNames(all)) this.#options.store?.drop(name);
    return all.filter(({ secondOf }) => !secondOf)
      .map((one) => withoutExposure(withoutInitial(one)));
  }

  #tellServed(): void {
    const detail = "served again by a new process; its lines are as declared";
    for (const aggregator of this.names) {
      this.#tell({ aggregator, event: "enforced", detail });
    }
  }

  /** Abandons a process that cannot be used any more. */
  #abandon(how: string): void {
    this.#child?.abandon(new Error(`The process of ${this.names} ${how}`));
  }

  /** Leaves out what the process says of aggregators that it does not have. */
  #own<T extends { readonly name: string }>(said: readonly T[]): T[] {
    return said.filter(({ name }) => this.#added.isOwn(name));
  }

  #withPid(described: AggregatorDescription[]): AggregatorDescription[] {
    return described.map((one) => ({ ...one, pid: this.pid }));
  }

  /** Sends a command: a process that does not answer in time is killed. */
  async #call(
    name: CallName,
    args: unknown[],
    fds: readonly number[] = [],
  ): Promise<unknown> {
    const child = this.#child!;
    try {
      return await child.call(name, args, fds);
    } catch (error) {
      if (error instanceof NoAnswerError && child === this.#child) {
        this.#died("did not answer, and was killed");
      }
      throw error;
    }
  }
}
