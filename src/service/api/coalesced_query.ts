/**
 * Questions to the reactor that many clients ask at once: it serves guests, and
 * is not asked the same thing twice at a time, however many want to know.
 *
 * @module
 */

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
  ) {
    this.#find = find;
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
    const restMs = this.#restsUntil - performance.now();
    const turn: Turn<Answer> = {
      isAsked: restMs <= 0,
      current: restMs <= 0
        ? this.#findNow(subject)
        : new Promise<void>((resolve) => setTimeout(resolve, restMs))
          .then(() => {
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
    const from = performance.now();
    const answer = this.#find(subject);
    const end = (answer?: Answer) => {
      const now = performance.now();
      this.#restsUntil = now + this.#restMs(now - from, answer);
    };
    answer.then(end, () => end());
    return answer;
  }
}
