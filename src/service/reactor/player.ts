/**
 * Plays values into simulated lines at given times, from a queue that its client
 * keeps filled.
 *
 * @module
 */
import { readMonotonicNs } from "../../../ffi/clock.ts";
import { EPOLLIN } from "../../../ffi/epoll.ts";
import { TimerFd } from "../../../ffi/timer_fd.ts";
import type { PlayState } from "../../client/play.ts";
import type { EventLoop, TimeShare, Watch } from "../../reactor/event_loop.ts";
import { type PinChange, pullPin } from "./pin_changes.ts";

/** Most steps that wait. */
export const MAX_WAITING = 65_536;
/** Steps for which there is room at the beginning. */
const FIRST_ROOM = 1024;
/** Steps of which the median is reported. */
const RECENT = 1024;
const NS_PER_US = 1000;

/** The timer of a player; tests have their own. */
interface PlayTimer extends Disposable {
  readonly fd: number;
  /** See {@linkcode TimerFd.set}. */
  set(ns: number): void;
  /** See {@linkcode TimerFd.stop}. */
  stop(): void;
}

/** The steps of one aggregator. **Ownership**: of its timer. */
export class Player implements Disposable {
  readonly #timer: PlayTimer;
  readonly #share: TimeShare;
  readonly #watch: Watch;
  /** Reads the clock. **Units**: nanoseconds, monotonic. */
  readonly #clock: (into: Float64Array) => void;
  readonly #now = new Float64Array(1);
  /** Times of the steps that wait, from `#next` on, and around. */
  #due = new Float64Array(FIRST_ROOM);
  #changes = new Array<PinChange>(FIRST_ROOM);
  /** Index of the first step that waits. */
  #next = 0;
  #waiting = 0;
  #played = 0;
  #worstUs = 0;
  readonly #recentUs = new Float64Array(RECENT);

  /** Makes a player without steps; `clock` reads the monotonic clock in ns. */
  constructor(
    loop: EventLoop,
    timer: PlayTimer = new TimerFd(),
    clock: (into: Float64Array) => void = readMonotonicNs,
  ) {
    this.#timer = timer;
    this.#clock = clock;
    this.#share = loop.share(undefined, { isPunctual: true });
    this.#watch = loop.watch(
      timer.fd,
      EPOLLIN,
      () => this.#run(),
      this.#share,
    );
  }

  /**
   * Checks that there is room for more steps.
   *
   * @throws {RangeError} If there is not.
   */
  checkRoom(count: number): void {
    if (this.#waiting + count <= MAX_WAITING) return;
    throw new RangeError(
      `cannot play ${count} more steps: ${this.#waiting} of at most ` +
        `${MAX_WAITING} wait already`,
    );
  }

  /**
   * Adds a step, for which there is room, behind those that wait.
   *
   * @param dueNs Its time. **Units**: nanoseconds, monotonic.
   */
  add(dueNs: number, change: PinChange): void {
    if (this.#waiting === this.#due.length) this.#grow();
    const at = (this.#next + this.#waiting) % this.#due.length;
    this.#due[at] = dueNs;
    this.#changes[at] = change;
    if (++this.#waiting === 1) this.#timer.set(dueNs);
  }

  /** Plays no further; what was played stays. */
  cancel(): void {
    this.#waiting = this.#next = 0;
    this.#timer.stop();
  }

  /** State of the play. */
  get state(): PlayState {
    const count = Math.min(this.#played, RECENT);
    const recent = this.#recentUs.slice(0, count).sort();
    return {
      waiting: this.#waiting,
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
    const size = this.#due.length;
    while (this.#waiting > 0) {
      const at = this.#next;
      const dueNs = this.#due[at]!;
      this.#clock(this.#now);
      const lateNs = this.#now[0]! - dueNs;
      // A time that is over comes at once: others are served in between.
      if (lateNs < 0 || this.#share.isSpent) return this.#timer.set(dueNs);
      const change = this.#changes[at]!;
      this.#next = at + 1 === size ? 0 : at + 1;
      this.#waiting--;
      this.#note(Math.round(lateNs / NS_PER_US));
      pullPin(change);
    }
    this.cancel();
  }

  #grow(): void {
    const { length } = this.#due;
    const from = this.#next;
    const due = new Float64Array(2 * length);
    due.set(this.#due.subarray(from));
    due.set(this.#due.subarray(0, from), length - from);
    this.#due = due;
    this.#changes = this.#changes.slice(from).concat(
      this.#changes.slice(0, from),
      new Array<PinChange>(length),
    );
    this.#next = 0;
  }

  #note(lateUs: number): void {
    this.#recentUs[this.#played++ % RECENT] = lateUs;
    if (lateUs > this.#worstUs) this.#worstUs = lateUs;
  }
}
