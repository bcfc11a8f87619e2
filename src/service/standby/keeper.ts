/**
 * Keeper of a service: runs it as a child, stands in for its service manager,
 * and has a spare process that takes over when the service ends for a restart
 * or crashes.
 *
 * It keeps the service's descriptors as the manager does, and hands all of them
 * on to the manager, if there is one: the keeper's own death is a crash of the
 * service. It serves nothing itself.
 *
 * @module
 */
import { closeElsewhere } from "../../../ffi/helper_thread.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { ProcessEnd } from "../../../ffi/spawn.ts";
import { settlesWithin, sleep } from "../../async/wait.ts";
import { type GivenManager, isStoredFd } from "../restart/service_manager.ts";
import type { KeptFd } from "../restart/manager_fd_store.ts";
import { CrashPolicy } from "./crash_policy.ts";
import { GapPings } from "./gap_pings.ts";
import { KeeperSocket } from "./keeper_socket.ts";
import { KeptFds } from "./kept_fds.ts";
import { ManagerLink } from "./manager_link.ts";
import type { ManagerMessage } from "./manager_message.ts";
import type { StandbyProcess } from "./standby_process.ts";

/** Descriptors that are kept where no manager sets a limit. */
const STORE_LIMIT = 2048;
/** Rest after a process became the service, before the next spare. **Units**: ms. */
const SPARE_REST_MS = 1000;
/** Longest rest after a spare that could not be started. **Units**: ms. */
const LONGEST_REST_MS = 60_000;
/** Time in which a service ends that was asked to restart. **Units**: ms. */
const HAND_OVER_LIMIT_MS = 10_000;
/** Time in which a spare becomes warm. **Units**: ms. */
const WARM_LIMIT_MS = 60_000;

/** A process that a keeper starts, as far as it uses it. */
export type KeptProcess = Pick<
  StandbyProcess,
  | "warm"
  | "handedOver"
  | "ended"
  | "isOutdated"
  | "hasEnded"
  | "serve"
  | "end"
  | "signal"
  | "kill"
>;

/** Settings of a keeper, and its surroundings. */
interface KeeperOptions {
  /** Starts a process. @throws {Error} If that is not possible. */
  readonly start: () => KeptProcess;
  /** Directory for its socket, which only this user can enter. */
  readonly directory: string;
  /** The manager of the keeper. **Ownership**: of its fds. */
  readonly manager: GivenManager;
  /** Rest before the next spare. **Units**: ms. */
  readonly restMs?: number;
  /** Sleeps after a crash; tests bring their own. */
  readonly sleep?: (ms: number) => Promise<void>;
  /** Reports a problem, beside the service's own messages. */
  readonly tell: (text: string) => void;
}

/** A keeper. **Ownership**: of its processes and descriptors. */
export class Keeper implements Disposable {
  readonly #options: KeeperOptions;
  readonly #kept: KeptFds;
  /** The manager's sockets, which each service is given. */
  readonly #listeners: readonly KeptFd[];
  readonly #link: ManagerLink;
  readonly #socket: KeeperSocket;
  readonly #policy = new CrashPolicy();
  readonly #gapPings: GapPings;
  readonly #cut = new AbortController();
  #service: KeptProcess | undefined;
  /** Set once it serves. */
  #isReady = false;
  #spare: KeptProcess | undefined;
  /** Set once the spare could serve at once. */
  #isSpareWarm = false;
  /** Signals for when the service is ready. */
  readonly #deferred: Deno.Signal[] = [];
  /** Set while the service ends because another process follows. */
  #isRestarting = false;
  /** Set once the service is to end for good, with its lines safe or as is. */
  #ending: "safe" | "as is" | undefined;
  /** End of a service after which none is to serve any more. */
  #lastCrash: ProcessEnd | undefined;
  /** Grows while spares cannot be started. */
  #restMs: number;
  #spareTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** Begins with what the manager has kept. */
  constructor(options: KeeperOptions) {
    this.#options = options;
    const { manager, directory, restMs = SPARE_REST_MS } = options;
    this.#restMs = restMs;
    this.#kept = new KeptFds(manager.storeLimit ?? STORE_LIMIT);
    this.#listeners = manager.fds.filter((fd) => !isStoredFd(fd));
    for (const fd of manager.fds.filter(isStoredFd)) {
      this.#kept.keep(fd[0], new OwnedFd(fd[1], fd[0]));
    }
    this.#link = new ManagerLink(manager.notifySocket, options.tell);
    this.#gapPings = new GapPings(
      manager.watchdogUs,
      () => this.#link.ping(),
    );
    this.#socket = new KeeperSocket(
      directory,
      (message, fds) => this.#receive(message, fds),
    );
  }

  /** Serves until the service ends for good; returns its end. */
  async run(): Promise<ProcessEnd> {
    let next = this.#options.start();
    for (;;) {
      const end = await this.#serveBy(next);
      const follower = await this.#follower(end);
      if (follower === undefined) return this.#lastCrash ?? end;
      next = follower;
    }
  }

  /** Ends the service, with its lines in their safe state. */
  end(): void {
    this.#ending = "safe";
    this.#cut.abort();
    this.#service?.end();
  }

  /** Ends the service for a restart of the keeper itself, by its manager. */
  endForManager(): void {
    this.#ending ??= "as is";
    this.#cut.abort();
    this.#signalWhenReady("SIGUSR2");
  }

  /** Makes the service read its configuration again. */
  reload(): void {
    this.#signalWhenReady("SIGHUP");
  }

  /** Replaces the service by a spare of the installed program. */
  async restart(): Promise<void> {
    if (this.#isRestarting || this.#ending !== undefined) return;
    const { tell } = this.#options;
    const service = this.#service;
    if (service === undefined || !this.#isReady) {
      return tell("not restarted: the service is starting");
    }
    this.#isRestarting = true;
    const isWarm = await this.#warmSpare();
    // It crashed, and was followed meanwhile.
    if (!this.#isRestarting || this.#service !== service) return;
    if (!isWarm) {
      this.#isRestarting = false;
      return tell("not restarted: the next process cannot be started");
    }
    // It says nothing more, and the next one may have many lines to request.
    this.#gapPings.begin();
    service.signal("SIGUSR2");
    const timer = setTimeout(() => {
      tell("the service does not end for the restart: killed");
      service.kill();
    }, HAND_OVER_LIMIT_MS);
    void service.ended.then(() => clearTimeout(timer));
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#spareTimer);
    this.#gapPings[Symbol.dispose]();
    this.#spare?.kill();
    this.#service?.kill();
    this.#socket[Symbol.dispose]();
    this.#link[Symbol.dispose]();
    this.#kept[Symbol.dispose]();
    closeElsewhere(this.#listeners.map(([name, fd]) => new OwnedFd(fd, name)));
  }

  /** Lets a process serve, and waits for its end. */
  async #serveBy(process: KeptProcess): Promise<ProcessEnd> {
    const { watchdogUs } = this.#options.manager;
    this.#service = process;
    this.#isReady = false;
    process.serve({
      notifySocket: this.#socket.path,
      watchdogUs,
      storeLimit: this.#kept.limit,
      fds: [...this.#listeners, ...this.#kept.list()],
    });
    // Its lines get their safe state by a process that has them.
    if (this.#ending === "safe") process.end();
    const end = await Promise.race([process.ended, this.#handedOver(process)]);
    // All its messages come before those of the next one.
    this.#socket.drain();
    return end;
  }

  /**
   * Waits until a service that was asked to restart serves nothing any more: its
   * own end takes longer, and nothing waits for that.
   */
  async #handedOver(process: KeptProcess): Promise<ProcessEnd> {
    await process.handedOver;
    return this.#isRestarting ? { status: 0 } : await process.ended;
  }

  /** Returns the process that follows a service; undefined if none does. */
  async #follower(end: ProcessEnd): Promise<KeptProcess | undefined> {
    const isRestart = this.#isRestarting && isSuccess(end);
    this.#isRestarting = false;
    this.#service = undefined;
    this.#isReady = false;
    if (this.#isClosed || this.#ending === "as is") return undefined;
    if (isRestart) {
      // Asked to end in the midst of it: the next one makes lines safe.
      if (this.#ending === "safe" && this.#kept.size === 0) return undefined;
    } else {
      if (this.#ending !== undefined || isSuccess(end)) return undefined;
      // What cannot start for the first time is for the caller to mend.
      if (!this.#link.wasReady) return undefined;
      const delayMs = this.#policy.delayAfterCrash(
        performance.now(),
        this.#isSpareWarm,
      );
      if (delayMs === undefined) return this.#giveUp(end);
      this.#options.tell(
        `the service ended unexpectedly (${endText(end)}): ` +
          `the spare process takes over${
            delayMs === 0 ? "" : ` in ${delayMs / 1000} s`
          }`,
      );
      this.#gapPings.begin();
      await this.#rest(delayMs);
      if (this.#ending === "as is") return undefined;
      if (this.#ending === "safe" && this.#kept.size === 0) return undefined;
    }
    return this.#takeSpare() ?? this.#options.start();
  }

  /**
   * Ends with the end of a service that crashed too often: a manager that keeps
   * its lines decides what follows. Without one, a last process makes them safe.
   */
  #giveUp(end: ProcessEnd): KeptProcess | undefined {
    const { manager, start, tell } = this.#options;
    tell(
      `the service ended unexpectedly (${endText(end)}) too often: given up`,
    );
    if (manager.storeLimit !== undefined || this.#kept.size === 0) {
      return undefined;
    }
    this.#lastCrash = end;
    this.#ending = "safe";
    return this.#takeSpare() ?? start();
  }

  /** Sleeps, unless the end comes first. */
  async #rest(ms: number): Promise<void> {
    const { signal } = this.#cut;
    if (ms === 0 || signal.aborted) return;
    const cut = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => cut.resolve(), { once: true });
    const { sleep: sleepFor = sleep } = this.#options;
    await Promise.race([sleepFor(ms), cut.promise]);
  }

  #receive(message: ManagerMessage, fds: OwnedFd[]): void {
    const { store, name } = message;
    if (store === "keep") {
      for (const fd of fds) {
        const { fd: number } = fd;
        if (this.#kept.keep(name, fd)) this.#link.keep(name, number);
      }
    } else {
      closeElsewhere(fds);
      if (store === "drop") {
        this.#kept.drop(name);
        this.#link.drop(name);
      }
    }
    if (message.isReady) this.#ready();
    this.#link.say(message, this.#isRestarting);
  }

  #ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#gapPings.end();
    for (const signal of this.#deferred.splice(0)) {
      this.#service?.signal(signal);
    }
    this.#planSpare();
  }

  #signalWhenReady(signal: Deno.Signal): void {
    if (this.#isReady) this.#service?.signal(signal);
    else this.#deferred.push(signal);
  }

  get #needsSpare(): boolean {
    return this.#ending === undefined && !this.#isClosed &&
      this.#spare === undefined;
  }

  /** Starts the next spare after a rest, which the guests have for themselves. */
  #planSpare(): void {
    if (!this.#needsSpare) return;
    clearTimeout(this.#spareTimer);
    this.#spareTimer = setTimeout(() => this.#startSpare(), this.#restMs);
  }

  #startSpare(): KeptProcess | undefined {
    clearTimeout(this.#spareTimer);
    if (!this.#needsSpare) return this.#spare;
    try {
      const spare = this.#options.start();
      this.#spare = spare;
      this.#isSpareWarm = false;
      void spare.warm.then(() => {
        this.#restMs = this.#options.restMs ?? SPARE_REST_MS;
        if (this.#spare === spare) this.#isSpareWarm = true;
      });
      void spare.ended.then((end) => this.#spareEnded(spare, end));
      return spare;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#options.tell(`no spare process: ${error.message}`);
      this.#spareEnded(undefined);
      return undefined;
    }
  }

  /** A spare that ends is replaced, each time later. */
  #spareEnded(spare: KeptProcess | undefined, end?: ProcessEnd): void {
    if (this.#spare !== spare) return;
    const wasWarm = this.#isSpareWarm;
    this.#spare = undefined;
    this.#isSpareWarm = false;
    this.#restMs = Math.min(2 * this.#restMs, LONGEST_REST_MS);
    if (end !== undefined && this.#needsSpare) {
      const what = wasWarm
        ? `ended unexpectedly (${endText(end)}): another one follows`
        : `could not be started (${endText(end)}): tried again`;
      this.#options.tell(
        `the spare process ${what} in ${this.#restMs / 1000} s`,
      );
    }
    this.#planSpare();
  }

  /** Returns the spare, which serves from now on, if it is of use. */
  #takeSpare(): KeptProcess | undefined {
    clearTimeout(this.#spareTimer);
    const spare = this.#spare;
    this.#spare = undefined;
    this.#isSpareWarm = false;
    if (spare === undefined || spare.hasEnded) return undefined;
    if (!spare.isOutdated) return spare;
    spare.kill();
    return undefined;
  }

  /** Has a spare of the installed program that is warm; false if it cannot. */
  async #warmSpare(): Promise<boolean> {
    const old = this.#spare;
    if (old !== undefined && (old.isOutdated || old.hasEnded)) {
      this.#spare = undefined;
      old.kill();
    }
    const spare = this.#startSpare();
    if (spare === undefined) return false;
    const hasBegun = Promise.race([spare.warm, spare.ended]);
    return await settlesWithin(hasBegun, WARM_LIMIT_MS) && !spare.hasEnded;
  }
}

function isSuccess(end: ProcessEnd): boolean {
  return "status" in end && end.status === 0;
}

function endText(end: ProcessEnd): string {
  return "status" in end ? `status ${end.status}` : `signal ${end.signal}`;
}
