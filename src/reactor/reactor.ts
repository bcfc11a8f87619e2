/**
 * The loop that runs every line and every session of the process: one blocking
 * `epoll_wait`, handlers called in turn, deadlines, and work put off to later
 * turns so that no busy peer keeps the others waiting.
 *
 * @module
 */
import { busFaultCount } from "../../ffi/bus_guard.ts";
import { monotonicUs, threadUs } from "../../ffi/clock.ts";
import { Epoll, EPOLLET } from "../../ffi/epoll.ts";
import { areCallsKept, tendHelpers } from "../../ffi/helper_thread.ts";
import { Deadlines } from "./deadlines.ts";
import type {
  EventLoop,
  Poll,
  PollSettings,
  PollTarget,
  ShareOptions,
  Timer,
  TimeShare,
  Watch,
} from "./event_loop.ts";
import { Polls } from "./polls.ts";
import { Share, TimeShares } from "./time_shares.ts";
import { Urgency } from "./urgency.ts";

/** Tasks of no peer that are run per turn. */
const TASKS_PER_TURN = 64;
/** Time after which no other of them is begun. **Units**: microseconds. */
const TASKS_US = 200;
const US_PER_MS = 1000;
/**
 * Interval at which kept calls look for a free helper thread. **Units**: ms.
 */
const TEND_MS = 50;
/**
 * Times that a handler may throw within {@linkcode FAILURES_MS} before its fd is
 * not listened to any more.
 */
const MAX_FAILURES = 8;
/** **Units**: milliseconds. */
const FAILURES_MS = 10_000;

/** Options of a reactor. */
interface ReactorOptions {
  /** Called for an exception that escaped a handler; the loop goes on. */
  onError: (error: unknown) => void;
  /** Monotonic milliseconds; tests bring their own clock. */
  now?: () => number;
  /** Raises the priority of the thread, and takes that back. */
  setRaised?: (isRaised: boolean) => void;
}

/** A slot of the handler table: what is called for one watched fd. */
class Slot {
  generation = 0;
  handler: ((events: number) => void) | undefined;
  /** The peer that causes its events. */
  share: Share | undefined;
  fd = -1;
  /** The epoll mask that its user asked for. */
  mask = 0;
  /** Events that wait for the peer's turn. */
  held = 0;
  /** True while a level-triggered fd is kept from reporting again and again. */
  isMuted = false;
  /** Times that its handler threw since then. */
  #failures = 0;
  #failingSince = 0;
  readonly #epoll: Epoll;
  readonly #index: number;

  constructor(epoll: Epoll, index: number) {
    this.#epoll = epoll;
    this.#index = index;
  }

  /** Keeps events for the peer's turn; until then the fd wakes nothing. */
  hold(events: number): void {
    const isFirst = this.held === 0;
    this.held |= events;
    if ((this.mask & EPOLLET) === 0 && !this.isMuted) {
      // Edge-triggered without an event to look for: what it still reports (a
      // hang-up) is reported once.
      this.#epoll.modify(this.fd, EPOLLET, this.#index, this.generation);
      this.isMuted = true;
    }
    if (!isFirst) return;
    const { generation } = this;
    this.share!.defer(() => {
      if (generation === this.generation) this.#resume();
    });
  }

  #resume(): void {
    const events = this.held;
    this.held = 0;
    if (this.isMuted) {
      this.isMuted = false;
      this.#epoll.modify(this.fd, this.mask, this.#index, this.generation);
    }
    try {
      this.handler!(events);
    } catch (error) {
      this.failed();
      throw error;
    }
  }

  /**
   * Its handler threw. One that does so again and again would be called for
   * ever, for what it does not take.
   */
  failed(): void {
    if (this.handler === undefined) return;
    const now = performance.now();
    if (now - this.#failingSince > FAILURES_MS) {
      this.#failingSince = now;
      this.#failures = 0;
    }
    if (++this.#failures < MAX_FAILURES) return;
    this.isMuted = true;
    this.#epoll.modify(this.fd, EPOLLET, this.#index, this.generation);
  }

  /** Changes the mask; a muted fd gets it once it may report again. */
  update(mask: number): void {
    this.mask = mask;
    if (this.isMuted) return;
    this.#epoll.modify(this.fd, mask, this.#index, this.generation);
  }

  /** Ends the watch. */
  clear(): void {
    this.handler = undefined;
    this.share = undefined;
    this.generation = (this.generation + 1) | 0;
    this.held = 0;
    this.isMuted = false;
    this.#failures = 0;
    this.#epoll.remove(this.fd);
  }
}

/**
 * An {@linkcode EventLoop} over epoll.
 *
 * **Blocking**: `run` blocks its thread until `stop`. **Ownership**: owns its
 * epoll fd, never a watched fd.
 */
export class Reactor implements EventLoop, Disposable {
  readonly #epoll = new Epoll();
  readonly #slots: Slot[] = [];
  readonly #freeSlots: number[] = [];
  readonly #deadlines: Deadlines;
  readonly #shares: TimeShares;
  readonly #polls: Polls;
  readonly #urgency: Urgency | undefined;
  /** Microseconds modulo 2^32. */
  readonly #clock: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #memoryChecks = new Set<() => void>();
  #memoryFaults = busFaultCount();
  #deferred: (() => void)[] = [];
  #running = false;

  /** Makes an idle reactor; `run` starts it. */
  constructor(options: ReactorOptions) {
    this.#onError = options.onError;
    const { now } = options;
    this.#deadlines = new Deadlines(now ?? (() => performance.now()));
    this.#clock = now === undefined
      ? monotonicUs
      : () => (now() * US_PER_MS) | 0;
    this.#shares = new TimeShares(
      this.#clock,
      options.onError,
      now === undefined ? threadUs : this.#clock,
    );
    this.#polls = new Polls(this.#clock, this.#shares);
    this.#urgency = options.setRaised &&
      new Urgency(this.#clock, options.setRaised);
  }

  /** See {@linkcode EventLoop.now}. */
  get now(): number {
    return this.#deadlines.now;
  }

  /** See {@linkcode EventLoop.watch}. */
  watch(
    fd: number,
    events: number,
    onReady: (events: number) => void,
    share?: TimeShare,
  ): Watch {
    const own = share && checkOwn(share);
    let index = this.#freeSlots.pop();
    if (index === undefined) {
      index = this.#slots.length;
      this.#slots.push(new Slot(this.#epoll, index));
    }
    const slot = this.#slots[index]!;
    try {
      this.#epoll.add(fd, events, index, slot.generation);
    } catch (error) {
      this.#freeSlots.push(index);
      throw error;
    }
    slot.handler = onReady;
    slot.share = own;
    slot.fd = fd;
    slot.mask = events;
    return new EpollWatch(slot, index, this.#freeSlots);
  }

  /** See {@linkcode EventLoop.after}. */
  after(ms: number, onElapsed: () => void): Timer {
    return this.#deadlines.after(ms, onElapsed);
  }

  /** See {@linkcode EventLoop.defer}. */
  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  /** See {@linkcode EventLoop.share}. */
  share(
    onError?: (error: unknown) => void,
    { partner, ...options }: ShareOptions = {},
  ): TimeShare {
    return this.#shares.add(
      onError,
      partner && checkOwn(partner),
      options,
    );
  }

  /** See {@linkcode EventLoop.poll}. */
  poll(target: PollTarget, settings: PollSettings, share: TimeShare): Poll {
    return this.#polls.add(target, settings, checkOwn(share));
  }

  /** See {@linkcode EventLoop.onMemoryFault}. */
  onMemoryFault(check: () => void): Disposable {
    this.#memoryChecks.add(check);
    return { [Symbol.dispose]: () => void this.#memoryChecks.delete(check) };
  }

  /** Runs until `stop`. A handler that throws is reported, the rest served on. */
  run(): void {
    this.#running = true;
    while (this.#running) this.turn(Infinity);
  }

  /**
   * One turn: waits for at most `maxWaitMs` (less if a deadline or put-off
   * work is due), then serves ready fds, one peer that was put off, tasks, and
   * deadlines.
   */
  turn(maxWaitMs: number): void {
    const epoll = this.#epoll;
    const shares = this.#shares;
    const isPolling = this.#polls.isActive;
    if (isPolling) this.#polls.spin();
    // What handlers of this turn put off waits for the next one.
    const deferred = this.#deferred;
    const isAnyDeferred = deferred.length > 0;
    const waitMs = isPolling ? 0 : this.#timeout(maxWaitMs);
    this.#urgency?.turn(waitMs !== 0);
    const ready = epoll.wait(waitMs);
    if (isAnyDeferred) this.#deferred = [];
    shares.beginTurn();
    for (let i = 0; i < ready; i++) {
      const slot = this.#slots[epoll.slotAt(i)];
      // A watch that was disposed in this very turn has a newer generation.
      if (slot === undefined || slot.generation !== epoll.generationAt(i)) {
        continue;
      }
      const events = epoll.eventsAt(i);
      const { share } = slot;
      if (share === undefined) this.#serve(slot, events);
      else if (shares.mustWait(share)) this.#hold(slot, events);
      else if (!shares.run(share, slot.handler!, events)) slot.failed();
    }
    shares.runNext();
    if (isAnyDeferred) this.#runDeferred(deferred);
    if (this.#deadlines.size > 0) this.#deadlines.run(this.#onError);
    if (busFaultCount() !== this.#memoryFaults) this.#checkMemory();
    if (areCallsKept()) tendHelpers();
  }

  /** Lets `run` return after the turn under way. */
  stop(): void {
    this.#running = false;
  }

  /** Closes the epoll fd. Watches are void from here on. */
  [Symbol.dispose](): void {
    this.#epoll[Symbol.dispose]();
  }

  #serve(slot: Slot, events: number): void {
    try {
      slot.handler!(events);
    } catch (error) {
      slot.failed();
      this.#onError(error);
    }
  }

  #hold(slot: Slot, events: number): void {
    try {
      slot.hold(events);
    } catch (error) {
      this.#onError(error);
    }
  }

  #timeout(maxWaitMs: number): number {
    if (this.#deferred.length > 0) return 0;
    let wait = Math.min(maxWaitMs, this.#shares.msToNext());
    if (this.#deadlines.size > 0) {
      wait = Math.min(wait, this.#deadlines.msToNext());
    }
    if (areCallsKept()) wait = Math.min(wait, TEND_MS);
    return wait === Infinity ? -1 : Math.ceil(wait);
  }

  #checkMemory(): void {
    // Ending what used one mapping may reach into the next that is gone.
    while (busFaultCount() !== this.#memoryFaults) {
      this.#memoryFaults = busFaultCount();
      for (const check of [...this.#memoryChecks]) {
        try {
          check();
        } catch (error) {
          this.#onError(error);
        }
      }
    }
  }

  #runDeferred(tasks: (() => void)[]): void {
    const begunAt = this.#clock();
    let done = 0;
    do {
      try {
        tasks[done++]!();
      } catch (error) {
        this.#onError(error);
      }
    } while (
      done < tasks.length && done < TASKS_PER_TURN &&
      ((this.#clock() - begunAt) | 0) < TASKS_US
    );
    if (done < tasks.length) {
      this.#deferred = tasks.slice(done).concat(this.#deferred);
    }
  }
}

function checkOwn(share: TimeShare): Share {
  if (share instanceof Share) return share;
  throw new TypeError("the share is one of another loop");
}

/** One watched fd of a {@linkcode Reactor}. */
class EpollWatch implements Watch {
  #active = true;

  constructor(
    readonly slot: Slot,
    readonly index: number,
    readonly freeSlots: number[],
  ) {}

  update(events: number): void {
    if (this.#active) this.slot.update(events);
  }

  failed(): void {
    if (this.#active) this.slot.failed();
  }

  [Symbol.dispose](): void {
    if (!this.#active) return;
    this.#active = false;
    this.freeSlots.push(this.index);
    this.slot.clear();
  }
}
