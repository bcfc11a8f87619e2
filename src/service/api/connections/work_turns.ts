/**
 * Work of the main isolate that clients cause and that takes milliseconds:
 * parsing of bodies, encoding of large states. One piece is done at a time, in
 * turns of the users that wait, with as much time for everything else between.
 *
 * @module
 */
export { atOnce } from "../../record/turns.ts";

/** Longest time without a rest. **Units**: milliseconds. */
const SLICE_MS = 4;
/** Less is not worth a rest. **Units**: milliseconds. */
const SHORT_MS = 1;

interface Task {
  /** Does a part of the work; true when all is done. */
  step(): boolean;
}

/** Clock and timer of {@linkcode WorkTurns}; tests have their own. */
interface WorkClock {
  /** Monotonic time. **Units**: milliseconds. */
  now(): number;
  /** Calls `then` after `ms` milliseconds and what is ready by then. */
  rest(ms: number, then: () => void): void;
}

const CLOCK: WorkClock = {
  now: () => performance.now(),
  rest: (ms, then) => void setTimeout(then, ms),
};

/** All such work of one service. */
export class WorkTurns<Owner> {
  readonly #clock: WorkClock;
  /** Tasks by owner; the first owner is next. */
  readonly #queues = new Map<Owner, Task[]>();
  #isBusy = false;

  /** Starts without work. */
  constructor(clock: WorkClock = CLOCK) {
    this.#clock = clock;
  }

  /**
   * Does work for an owner, at once if there is no other. Work that yields may
   * be interrupted there.
   *
   * @throws What the work throws.
   */
  run<T>(owner: Owner, work: Iterator<void, T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const step = () => {
      try {
        const { done, value } = work.next();
        if (done === true) resolve(value);
        return done === true;
      } catch (error) {
        reject(error);
        return true;
      }
    };
    const queue = this.#queues.get(owner);
    if (queue === undefined) this.#queues.set(owner, [{ step }]);
    else queue.push({ step });
    if (!this.#isBusy) this.#goOn();
    return promise;
  }

  #goOn(): void {
    this.#isBusy = true;
    const from = this.#clock.now();
    let elapsed = 0;
    while (elapsed < SLICE_MS) {
      const [next] = this.#queues;
      if (next === undefined) break;
      const [owner, tasks] = next;
      let isDone = false;
      while (!isDone && elapsed < SLICE_MS) {
        isDone = tasks[0]!.step();
        elapsed = this.#clock.now() - from;
      }
      if (isDone) tasks.shift();
      // To the end of the row.
      this.#queues.delete(owner);
      if (tasks.length > 0) this.#queues.set(owner, tasks);
    }
    if (elapsed < SHORT_MS && this.#queues.size === 0) {
      this.#isBusy = false;
      return;
    }
    this.#clock.rest(elapsed, () => {
      if (this.#queues.size > 0) this.#goOn();
      else this.#isBusy = false;
    });
  }
}

/** Requests of each user that are read at a time; more wait unread. */
export class UserSlots {
  readonly #perUser: number;
  readonly #users = new Map<
    number,
    { taken: number; waiting: (() => void)[] }
  >();

  /** Gives each user so many. */
  constructor(perUser: number) {
    this.#perUser = perUser;
  }

  /** Waits for a free slot. Disposing frees it. */
  async take(uid: number): Promise<Disposable> {
    let user = this.#users.get(uid);
    if (user === undefined) {
      this.#users.set(uid, user = { taken: 0, waiting: [] });
    }
    if (user.taken < this.#perUser) user.taken++;
    else {
      const { promise, resolve } = Promise.withResolvers<void>();
      user.waiting.push(resolve);
      await promise;
    }
    const { waiting } = user;
    let isFree = false;
    return {
      [Symbol.dispose]: () => {
        if (isFree) return;
        isFree = true;
        const next = waiting.shift();
        if (next !== undefined) return next();
        if (--user.taken === 0) this.#users.delete(uid);
      },
    };
  }
}
