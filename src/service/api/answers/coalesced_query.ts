/**
 * Questions to the reactor that many clients ask at once: it serves guests, and
 * is not asked the same thing twice at a time, however many want to know.
 *
 * @module
 */

/** Answers that take less are made as often as they are requested. */
const SHORT_ANSWER_MS = 5;
const MAX_REST_MS = 100;
/** Rest after an answer that takes more, in times of what it took. */
const REST_RATIO = 4;
/** Part of an answer that is made in a millisecond, on a slow machine. */
const BYTES_PER_MS = 4096;

/** Clock and timer of a {@linkcode CoalescedQuery}; tests have their own. */
interface QueryClock {
  /** Monotonic time. **Units**: milliseconds. */
  now(): number;
  /** Resolves after `ms` milliseconds. */
  rest(ms: number): Promise<void>;
}

const CLOCK: QueryClock = {
  now: () => performance.now(),
  rest: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Query under way for a subject, and the next one. */
interface Turn<Answer> {
  /** The question is asked by now: before, others may join. */
  isAsked: boolean;
  current: Promise<Answer>;
  /** For all who asked since `current` began: that may be too old for them. */
  next: Promise<Answer> | undefined;
}

/** A question with a subject, such as a name. */
export class CoalescedQuery<Answer> {
  readonly #find: (subject: string) => Promise<Answer>;
  readonly #turns = new Map<string, Turn<Answer>>();
  readonly #restMs: (tookMs: number, answer?: Answer) => number;
  readonly #clock: QueryClock;
  #restsUntil = 0;

  /**
   * Asks through `find`, which returns an answer that is true when it is called,
   * or later.
   *
   * @param restMs How long nothing is asked after an answer that took this long;
   * without the answer, after an error.
   */
  constructor(
    find: (subject: string) => Promise<Answer>,
    restMs: (tookMs: number, answer?: Answer) => number = () => 0,
    clock: QueryClock = CLOCK,
  ) {
    this.#find = find;
    this.#clock = clock;
    this.#restMs = restMs;
  }

  /**
   * Returns an answer that is true now or later. It is shared and must not be
   * changed.
   *
   * @throws The error of `find`, to all callers that wait for it.
   */
  ask(subject: string): Promise<Answer> {
    const turn = this.#turns.get(subject);
    if (turn === undefined) return this.#begin(subject);
    if (!turn.isAsked) return turn.current;
    turn.next ??= turn.current.then(
      () => this.#begin(subject),
      () => this.#begin(subject),
    );
    return turn.next;
  }

  #begin(subject: string): Promise<Answer> {
    const restMs = this.#restsUntil - this.#clock.now();
    const turn: Turn<Answer> = {
      isAsked: restMs <= 0,
      current: restMs <= 0
        ? this.#findNow(subject)
        : this.#clock.rest(restMs).then(() => {
          turn.isAsked = true;
          return this.#findNow(subject);
        }),
      next: undefined,
    };
    this.#turns.set(subject, turn);
    const end = () => {
      // The next caller begins a turn of its own.
      if (turn.next === undefined) this.#turns.delete(subject);
    };
    turn.current.then(end, end);
    return turn.current;
  }

  #findNow(subject: string): Promise<Answer> {
    const from = this.#clock.now();
    const answer = this.#find(subject);
    const end = (answer?: Answer) => {
      const now = this.#clock.now();
      this.#restsUntil = now + this.#restMs(now - from, answer);
    };
    answer.then(end, () => end());
    return answer;
  }
}

/**
 * Returns the time during which an answer is not made again after one that took
 * this long, so that answers take a fifth of the time at most: guests wait for
 * the CPU. Most of what a short one takes is waiting for others.
 *
 * @param answer What was made; without it there was an error.
 */
export function restMs(tookMs: number, answer?: Uint8Array): number {
  const workMs = Math.min(tookMs, (answer?.length ?? 0) / BYTES_PER_MS);
  if (workMs < SHORT_ANSWER_MS) return 0;
  return Math.min(workMs * REST_RATIO, MAX_REST_MS);
}
