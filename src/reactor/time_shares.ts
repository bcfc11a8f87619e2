/**
 * Shares of the reactor's time.
 *
 * Each peer has a slice per turn. A peer that used its slice up is put off: one
 * such peer is served per turn, after every peer that is not, so that a guest
 * with one request waits for one slice, however many others keep the reactor
 * busy. Slices are long while one peer alone is active and short otherwise.
 *
 * A unit of work that cannot be interrupted may exceed the slice (mapping a
 * memory table). While others are active, what exceeds it is owed: a peer that
 * owes much is served only after a rest that is longer than the excess, which
 * bounds the part of requests of other guests that meet such a unit at all.
 *
 * A unit that keeps others waiting for longer than most of their requests may
 * take is rarer still: what a peer has of those is repaid by a rest of more than
 * a hundred times as long, so that less than one request in a hundred meets one.
 * Only time that the thread was at work counts for that, or a busy machine would
 * make well-behaved peers rest: a peer that had such a unit is timed by the
 * processor's time from then on. A peer with a deadline rests for a short time
 * only, or what is behind it would give its requests up.
 *
 * @module
 */
import { chargeCloses, CloseQueue } from "../../ffi/helper_thread.ts";
import type { ShareOptions, TimeShare } from "./event_loop.ts";

/** Slice of a peer that is alone. **Units**: microseconds. */
export const LONE_SLICE_US = 200;
/** Slice of a peer beside which others are active. **Units**: microseconds. */
export const SHARED_SLICE_US = 25;
/** Excess that costs nothing: one clock look late. **Units**: microseconds. */
const TOLERANCE_US = 8;
/** Time that a peer counts as active after its last event. **Units**: µs. */
const CONTENTION_US = 1_000_000;
/** Excess that a peer may owe without a rest. **Units**: microseconds. */
const BURST_US = 1000;
/**
 * Shift of the repayment: a debt shrinks by an eighth of the time that passes.
 */
const REPAYMENT_SHIFT = 3;
/** Rest per excess. */
const REST_FACTOR = 3;
/** Longest rest after one unit. **Units**: microseconds. */
const MAX_REST_US = 20_000;
/** Excess of a long unit, at least. **Units**: microseconds. */
const LONG_US = 400;
/**
 * Time of long units that costs no long rest: more than the start of a VM takes
 * while the code that serves it is new. **Units**: microseconds.
 */
const LONG_BURST_US = 50_000;
/** Shift of the repayment of long units: a long rest per time. */
const LONG_REPAYMENT_SHIFT = 7;
/** Longest rest after a long unit. **Units**: microseconds. */
const MAX_LONG_REST_US = 1_000_000;
/**
 * The same for a peer with a deadline. The driver of an LJCA waits 200 ms for each
 * transfer, and 20 ms for an answer that takes two. **Units**: microseconds.
 */
const MAX_DEADLINE_REST_US = 5000;
/** Time of suspicion after a long unit. **Units**: microseconds. */
const SUSPICION_US = 10_000_000;
/**
 * Age up to which a reading of the processor's time serves more slices: far
 * below a long unit. Each reading is a system call. **Units**: microseconds.
 */
const THREAD_AGE_US = 100;
/** Units between two looks at the clock, at most. */
const MAX_STRIDE = 128;
/** Units of a peer that is alone before its time is measured, at least. */
const UNTIMED_UNITS = 16;
const US_PER_MS = 1000;

/** Called when something that a share ran has thrown. */
type OnError = (error: unknown) => void;

/**
 * The peers of one reactor. Times are microseconds modulo 2^32.
 *
 * Nothing here allocates while no peer is put off.
 */
export class TimeShares {
  readonly #clock: () => number;
  readonly #threadClock: () => number;
  readonly #onError: OnError;
  readonly #putOff: Share[] = [];
  /** The time as read last. */
  #now = 0;
  /** The peer that was served last. */
  #last: object | undefined;
  #isContended = false;
  #contendedAt = 0;
  #restUntil = 0;
  /** The processor's time as read last, and when that was. */
  #threadUs = 0;
  #threadReadAt = 0;

  /**
   * Makes a table without peers. Clocks return µs modulo 2^32, as an i32.
   *
   * @param threadClock The processor time of this thread.
   */
  constructor(
    clock: () => number,
    onError: OnError,
    threadClock: () => number = clock,
  ) {
    this.#clock = clock;
    this.#threadClock = threadClock;
    this.#onError = onError;
  }

  /**
   * Makes one more peer.
   *
   * @param partner Another share of the same peer.
   * @param options See {@linkcode ShareOptions}.
   */
  add(
    onError: OnError = this.#onError,
    partner?: Share,
    options: Omit<ShareOptions, "partner"> = {},
  ): Share {
    return new Share(
      this.#clock,
      this.#putOff,
      onError,
      options,
      partner?.peer,
    );
  }

  /** Begins a turn, before its first event. */
  beginTurn(): void {
    // A peer that is alone is not timed before it has done many units: two
    // readings would be some percent of a request's round trip.
    if (!this.#isContended) return;
    this.#now = this.#clock();
    const elapsed = elapsedUs(this.#contendedAt, this.#now);
    if (elapsed > CONTENTION_US || elapsed < 0) this.#isContended = false;
  }

  /** True if the peer's work is to wait for {@linkcode TimeShares.runNext}. */
  mustWait(share: Share): boolean {
    return share.isPutOff ||
      (this.#isContended && (share.owedUs(this.#now) > BURST_US ||
        share.longRestUs(this.#now) > 0));
  }

  /** Runs an event's handler in the peer's slice; false if it threw. */
  run(
    share: Share,
    handler: (events: number) => void,
    events: number,
  ): boolean {
    this.#begin(share);
    let isDone = true;
    try {
      handler(events);
    } catch (error) {
      isDone = false;
      share.onError(error);
    }
    this.#end(share);
    return isDone;
  }

  /** Milliseconds until put-off work may be done; Infinity if there is none. */
  msToNext(): number {
    if (this.#putOff.length === 0) return Infinity;
    this.#now = this.#clock();
    if (!this.#isContended) return 0;
    let least = Infinity;
    for (let i = 0; i < this.#putOff.length; i++) {
      least = Math.min(least, this.#restUs(this.#putOff[i]!));
    }
    return least / US_PER_MS;
  }

  /** Serves one peer that was put off for one slice, if its rest is over. */
  runNext(): void {
    if (this.#putOff.length === 0) return;
    const index = this.#nextIndex();
    if (index < 0) return;
    const share = this.#putOff[index]!;
    this.#putOff.splice(index, 1);
    this.#begin(share);
    share.runTasks();
    this.#end(share);
  }

  /** The first in line that need not rest, or -1. */
  #nextIndex(): number {
    if (!this.#isContended) return 0;
    const putOff = this.#putOff;
    for (let i = 0; i < putOff.length; i++) {
      if (this.#restUs(putOff[i]!) === 0) return i;
    }
    return -1;
  }

  /** Time for which a peer has to rest, 0 for none. **Units**: microseconds. */
  #restUs(share: Share): number {
    const now = this.#now;
    const long = share.longRestUs(now);
    const restUs = elapsedUs(now, this.#restUntil);
    // More than the longest rest is one that ended half a cycle ago.
    const isOver = restUs <= 0 || restUs > MAX_REST_US ||
      share.owedUs(now) <= BURST_US;
    return isOver ? long : Math.max(restUs, long);
  }

  #begin(share: Share): void {
    chargeCloses(share.closes);
    if (share.peer !== this.#last) {
      if (this.#last !== undefined) {
        if (!this.#isContended) this.#now = this.#clock();
        this.#isContended = true;
        this.#contendedAt = this.#now;
      }
      this.#last = share.peer;
    }
    if (!this.#isContended) {
      share.begin(LONE_SLICE_US);
      return;
    }
    share.begin(SHARED_SLICE_US, this.#now);
    if (share.isSuspect(this.#now)) share.threadBegunAt = this.#threadNow();
  }

  /** The processor's time of the thread, or a little more. */
  #threadNow(): number {
    const age = elapsedUs(this.#threadReadAt, this.#now);
    // The thread has not worked for longer than has passed.
    if (age >= 0 && age <= THREAD_AGE_US) return (this.#threadUs + age) | 0;
    this.#threadReadAt = this.#now;
    return this.#threadUs = this.#threadClock();
  }

  #end(share: Share): void {
    chargeCloses();
    if (!share.isTimed) return;
    const now = this.#now = this.#clock();
    const excess = share.end(now);
    if (excess > 0 && share.owedUs(now) > BURST_US) {
      this.#restUntil = (now + Math.min(excess * REST_FACTOR, MAX_REST_US)) | 0;
    }
    if (this.#isContended && excess >= LONG_US) {
      share.endLong(now, excess, this.#threadClock());
    }
  }
}

/** One peer's share of a reactor. */
export class Share implements TimeShare {
  /** Takes what the peer's handlers and tasks throw. */
  readonly onError: OnError;
  /** The same object for all shares of a peer. */
  readonly peer: object;
  /** Work of the peer that is left to helper threads. */
  readonly closes = new CloseQueue();
  readonly #clock: () => number;
  readonly #queue: Share[];
  #tasks: (() => void)[] = [];
  /** True if a slice that took longer owes nothing: its work is due at times. */
  readonly isPunctual: boolean;
  readonly #longestRestUs: number;
  /** True once the time of the slice under way is measured. */
  isTimed = false;
  #begunAt = 0;
  #sliceUs = 0;
  /** Units between looks at the clock, as the pace so far suggests. */
  #stride = 1;
  #granted = 0;
  #left = 0;
  #owedUs = 0;
  #owedAt = 0;
  /** Thread's time at the beginning of a slice of a suspect, at most. */
  threadBegunAt = 0;
  #isSuspect = false;
  #longAt = 0;
  #longUs = 0;
  #isResting = false;
  #restUntil = 0;

  /** Makes the share of a peer; `queue` is where those put off wait in line. */
  constructor(
    clock: () => number,
    queue: Share[],
    onError: OnError,
    { isPunctual = false, hasDeadline = false }: ShareOptions,
    peer: object = {},
  ) {
    this.peer = peer;
    this.isPunctual = isPunctual;
    this.#longestRestUs = hasDeadline ? MAX_DEADLINE_REST_US : MAX_LONG_REST_US;
    this.onError = onError;
    this.#clock = clock;
    this.#queue = queue;
  }

  /** True while tasks of the peer wait in line. */
  get isPutOff(): boolean {
    return this.#tasks.length > 0;
  }

  get isSpent(): boolean {
    const now = this.#clock();
    if (!this.isTimed) {
      this.isTimed = true;
      this.#begunAt = now;
      return false;
    }
    const elapsed = elapsedUs(this.#begunAt, now);
    return elapsed >= this.#sliceUs || elapsed < 0;
  }

  take(units: number): boolean {
    this.#left -= units;
    return this.#left > 0 || this.#look();
  }

  defer(task: () => void): void {
    if (this.#tasks.push(task) === 1) this.#queue.push(this);
  }

  /** Begins a slice; without `nowUs` its time begins at the first look. */
  begin(sliceUs: number, nowUs?: number): void {
    this.isTimed = nowUs !== undefined;
    if (nowUs !== undefined) this.#begunAt = nowUs;
    this.#sliceUs = sliceUs;
    this.#granted = this.#left = this.isTimed
      ? this.#stride
      : Math.max(this.#stride, UNTIMED_UNITS);
  }

  /** Ends a slice; returns by how much it was exceeded. **Units**: µs. */
  end(nowUs: number): number {
    const excess = elapsedUs(this.#begunAt, nowUs) - this.#sliceUs -
      TOLERANCE_US;
    if (excess <= 0) return 0;
    if (this.isPunctual) return excess;
    this.#owedUs = this.owedUs(nowUs) + excess;
    this.#owedAt = nowUs;
    return excess;
  }

  /** True for some time after a long unit: it is timed by the processor. */
  isSuspect(nowUs: number): boolean {
    if (!this.#isSuspect) return false;
    const elapsed = elapsedUs(this.#longAt, nowUs);
    this.#isSuspect = elapsed >= 0 && elapsed < SUSPICION_US;
    return this.#isSuspect;
  }

  /**
   * Ends a slice with a long unit. The first one makes the peer a suspect, of
   * others the thread's own time counts.
   */
  endLong(nowUs: number, excessUs: number, threadNowUs: number): void {
    const since = elapsedUs(this.#longAt, nowUs);
    if (!this.isSuspect(nowUs)) {
      this.#isSuspect = true;
      this.#longUs = 0;
    } else {
      const ownUs = elapsedUs(this.threadBegunAt, threadNowUs) - this.#sliceUs;
      const longUs = Math.max(0, Math.min(excessUs, ownUs));
      this.#longUs =
        Math.max(0, this.#longUs - (since >> LONG_REPAYMENT_SHIFT)) +
        longUs;
      if (this.#longUs > LONG_BURST_US) {
        this.#isResting = true;
        const restUs = Math.min(
          longUs << LONG_REPAYMENT_SHIFT,
          this.#longestRestUs,
        );
        this.#restUntil = (nowUs + restUs) | 0;
      }
    }
    this.#longAt = nowUs;
  }

  /** Returns the rest after long units, 0 for none. **Units**: microseconds. */
  longRestUs(nowUs: number): number {
    if (!this.#isResting) return 0;
    const restUs = elapsedUs(nowUs, this.#restUntil);
    this.#isResting = restUs > 0 && restUs <= MAX_LONG_REST_US;
    return this.#isResting ? restUs : 0;
  }

  /** Returns the debt of the peer. **Units**: microseconds. */
  owedUs(nowUs: number): number {
    if (this.#owedUs === 0) return 0;
    const elapsed = elapsedUs(this.#owedAt, nowUs);
    if (elapsed < 0) return 0;
    return Math.max(0, this.#owedUs - (elapsed >> REPAYMENT_SHIFT));
  }

  /** Runs tasks until the slice is used up; the rest stays in line. */
  runTasks(): void {
    const tasks = this.#tasks;
    // What a task puts off waits for the next turn.
    this.#tasks = [];
    let done = 0;
    do {
      try {
        tasks[done++]!();
      } catch (error) {
        this.onError(error);
      }
    } while (done < tasks.length && !this.isSpent);
    if (done === tasks.length) return;
    if (this.#tasks.length === 0) this.#queue.push(this);
    this.#tasks = tasks.slice(done).concat(this.#tasks);
  }

  /** Looks at the clock; true while there is time left. */
  #look(): boolean {
    const now = this.#clock();
    if (!this.isTimed) {
      this.isTimed = true;
      this.#begunAt = now;
      this.#granted = this.#left = this.#stride;
      return true;
    }
    const elapsed = elapsedUs(this.#begunAt, now);
    const slice = this.#sliceUs;
    const taken = this.#granted - this.#left;
    // A quarter of the slice, at the pace so far; less than 1 µs counts as 1.
    const pace = (taken * slice / (4 * Math.max(1, elapsed))) | 0;
    this.#stride = Math.max(1, Math.min(MAX_STRIDE, pace));
    this.#left = this.#stride;
    this.#granted = taken + this.#stride;
    return elapsed < slice;
  }
}

/** Time between two readings; negative for more than half a cycle (36 min). */
function elapsedUs(from: number, to: number): number {
  return (to - from) | 0;
}
