/**
 * Plays values into simulated lines at given times, from a queue that its client
 * keeps filled.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import { EPOLLIN } from "../../../ffi/epoll.ts";
import { TimerFd } from "../../../ffi/timer_fd.ts";
import type { PlayState } from "../../client/play.ts";
import type { EventLoop, TimeShare, Watch } from "../../reactor/event_loop.ts";
import { type PinChange, pullPin } from "./pin_changes.ts";

/** Most steps that wait. */
export const MAX_WAITING = 65_536;
/** Steps of which the median is told. */
const RECENT = 1024;
const NS_PER_US = 1000;

/** A change at a time. */
export interface PlayStep {
  /** **Units**: nanoseconds, monotonic. */
  readonly dueNs: number;
  readonly change: PinChange;
}

/** The timer of a player; tests have their own. */
interface PlayTimer extends Disposable {
  readonly fd: number;
  /** See {@linkcode TimerFd.set}. */
  set(ns: number): void;
  /** See {@linkcode TimerFd.stop}. */
  stop(): void;
  /** See {@linkcode TimerFd.drain}. */
  drain(): void;
}

/** The steps of one aggregator. **Ownership**: of its timer. */
export class Player implements Disposable {
  readonly #timer: PlayTimer;
  readonly #share: TimeShare;
  readonly #watch: Watch;
  readonly #now: () => number;
  #steps: PlayStep[] = [];
  /** Index of the first step that waits. */
  #next = 0;
  #played = 0;
  #worstUs = 0;
  readonly #recentUs = new Float64Array(RECENT);

  /** Makes a player without steps; `now` is the monotonic clock in ns. */
  constructor(
    loop: EventLoop,
    timer: PlayTimer = new TimerFd(),
    now: () => number = () => Number(clockNs("monotonic")),
  ) {
    this.#timer = timer;
    this.#now = now;
    this.#share = loop.share();
    this.#watch = loop.watch(
      timer.fd,
      EPOLLIN,
      () => this.#run(),
      this.#share,
    );
  }

  /**
   * Adds steps, in order of time, behind those that wait.
   *
   * @throws {RangeError} If there are too many.
   */
  add(steps: readonly PlayStep[]): void {
    const waiting = this.#steps.length - this.#next;
    if (waiting + steps.length > MAX_WAITING) {
      throw new RangeError(
        `cannot play ${steps.length} more steps: ${waiting} of at most ` +
          `${MAX_WAITING} wait already`,
      );
    }
    this.#steps = [...this.#steps.slice(this.#next), ...steps];
    this.#next = 0;
    this.#arm();
  }

  /** Plays no further; what was played stays. */
  cancel(): void {
    this.#steps = [];
    this.#next = 0;
    this.#timer.stop();
  }

  /** State of the play. */
  get state(): PlayState {
    const count = Math.min(this.#played, RECENT);
    const recent = this.#recentUs.slice(0, count).sort();
    return {
      waiting: this.#steps.length - this.#next,
      played: this.#played,
      medianLateUs: count === 0 ? 0 : recent[count >> 1]!,
      worstLateUs: this.#worstUs,
    };
  }

  /** Closes the timer. */
  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#timer[Symbol.dispose]();
  }

  #run(): void {
    this.#timer.drain();
    for (;;) {
      const step = this.#steps[this.#next];
      if (step === undefined) return this.cancel();
      const lateNs = this.#now() - step.dueNs;
      if (lateNs < 0 || this.#share.isSpent) return this.#arm();
      this.#next++;
      this.#note(Math.round(lateNs / NS_PER_US));
      pullPin(step.change);
    }
  }

  #arm(): void {
    const step = this.#steps[this.#next];
    // A time that is over comes at once: others are served in between.
    if (step !== undefined) this.#timer.set(step.dueNs);
  }

  #note(lateUs: number): void {
    this.#recentUs[this.#played++ % RECENT] = lateUs;
    if (lateUs > this.#worstUs) this.#worstUs = lateUs;
  }
}
