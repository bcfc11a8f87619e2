/**
 * Questions to the reactor that many clients ask at once: it serves guests, and
 * is not asked the same thing twice at a time, however many want to know.
 *
 * @module
 */

/** What is under way for a question, and who comes next. */
interface Turn<Answer> {
  current: Promise<Answer>;
  /** For all who asked since `current` began: that may be too old for them. */
  next: Promise<Answer> | undefined;
}

/** A question with a subject, such as a name. */
export class JointQuestion<Answer> {
  readonly #find: (subject: string) => Promise<Answer>;
  readonly #turns = new Map<string, Turn<Answer>>();

  /** `find` finds an answer that is true when it is called, or later. */
  constructor(find: (subject: string) => Promise<Answer>) {
    this.#find = find;
  }

  /**
   * An answer that is true now or later. It is shared: nobody may change it.
   *
   * @throws Whatever `find` throws, at all who wait for it.
   */
  ask(subject: string): Promise<Answer> {
    const turn = this.#turns.get(subject);
    if (turn === undefined) return this.#begin(subject);
    turn.next ??= turn.current.then(
      () => this.#begin(subject),
      () => this.#begin(subject),
    );
    return turn.next;
  }

  #begin(subject: string): Promise<Answer> {
    const turn: Turn<Answer> = {
      current: this.#find(subject),
      next: undefined,
    };
    this.#turns.set(subject, turn);
    const end = () => {
      // Whoever is next begins a turn of his own.
      if (turn.next === undefined) this.#turns.delete(subject);
    };
    turn.current.then(end, end);
    return turn.current;
  }
}
