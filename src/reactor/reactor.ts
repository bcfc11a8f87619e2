/**
 * The loop that runs every line and every session of the process: one blocking
 * `epoll_wait`, handlers called in turn, deadlines, and work put off to the
 * next turn so that no busy ring keeps the others waiting.
 *
 * @module
 */
import { Epoll } from "../../ffi/epoll.ts";
import { Deadlines } from "./deadlines.ts";
import type { EventLoop, Timer, Watch } from "./event_loop.ts";

/** What a reactor may be told at birth. */
export interface ReactorOptions {
  /** Told of an exception that escaped a handler; the loop goes on. */
  onError: (error: unknown) => void;
  /** Monotonic milliseconds; tests bring their own clock. */
  now?: () => number;
}

/** A slot of the handler table: who is called for one watched fd. */
interface Slot {
  generation: number;
  handler: ((events: number) => void) | undefined;
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
  readonly #onError: (error: unknown) => void;
  #deferred: (() => void)[] = [];
  #running = false;

  /** Makes an idle reactor; `run` starts it. */
  constructor(options: ReactorOptions) {
    this.#onError = options.onError;
    this.#deadlines = new Deadlines(options.now ?? (() => performance.now()));
  }

  /** See {@linkcode EventLoop.watch}. */
  watch(
    fd: number,
    events: number,
    onReady: (events: number) => void,
  ): Watch {
    let index = this.#freeSlots.pop();
    if (index === undefined) {
      index = this.#slots.length;
      this.#slots.push({ generation: 0, handler: undefined });
    }
    const slot = this.#slots[index]!;
    try {
      this.#epoll.add(fd, events, index, slot.generation);
    } catch (error) {
      this.#freeSlots.push(index);
      throw error;
    }
    slot.handler = onReady;
    return new EpollWatch(this.#epoll, fd, index, slot, this.#freeSlots);
  }

  /** See {@linkcode EventLoop.after}. */
  after(ms: number, onElapsed: () => void): Timer {
    return this.#deadlines.after(ms, onElapsed);
  }

  /** See {@linkcode EventLoop.defer}. */
  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  /** Runs until `stop`. A handler that throws is reported, the rest served on. */
  run(): void {
    this.#running = true;
    while (this.#running) this.turn(Infinity);
  }

  /**
   * One turn: waits for at most `maxWaitMs` (less if a deadline or put-off
   * work is due), then serves ready fds, put-off work, and deadlines.
   */
  turn(maxWaitMs: number): void {
    const epoll = this.#epoll;
    // What handlers of this turn put off waits for the next one.
    const deferred = this.#deferred;
    const isAnyDeferred = deferred.length > 0;
    const ready = epoll.wait(this.#timeout(maxWaitMs));
    if (isAnyDeferred) this.#deferred = [];
    for (let i = 0; i < ready; i++) {
      const slot = this.#slots[epoll.slotAt(i)];
      // A watch that was disposed in this very turn has a newer generation.
      if (slot === undefined || slot.generation !== epoll.generationAt(i)) {
        continue;
      }
      try {
        slot.handler!(epoll.eventsAt(i));
      } catch (error) {
        this.#onError(error);
      }
    }
    if (isAnyDeferred) this.#runDeferred(deferred);
    if (this.#deadlines.size > 0) this.#deadlines.run(this.#onError);
  }

  /** Lets `run` return after the turn under way. */
  stop(): void {
    this.#running = false;
  }

  /** Closes the epoll fd. Watches are void from here on. */
  [Symbol.dispose](): void {
    this.#epoll[Symbol.dispose]();
  }

  #timeout(maxWaitMs: number): number {
    if (this.#deferred.length > 0) return 0;
    const wait = this.#deadlines.size > 0
      ? Math.min(maxWaitMs, this.#deadlines.msToNext())
      : maxWaitMs;
    return wait === Infinity ? -1 : Math.ceil(wait);
  }

  #runDeferred(tasks: readonly (() => void)[]): void {
    for (const task of tasks) {
      try {
        task();
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

/** One watched fd of a {@linkcode Reactor}. */
class EpollWatch implements Watch {
  #active = true;

  constructor(
    readonly epoll: Epoll,
    readonly fd: number,
    readonly index: number,
    readonly slot: Slot,
    readonly freeSlots: number[],
  ) {}

  update(events: number): void {
    if (!this.#active) return;
    this.epoll.modify(this.fd, events, this.index, this.slot.generation);
  }

  [Symbol.dispose](): void {
    if (!this.#active) return;
    this.#active = false;
    this.slot.handler = undefined;
    this.slot.generation = (this.slot.generation + 1) | 0;
    this.freeSlots.push(this.index);
    this.epoll.remove(this.fd);
  }
}
