/**
 * Work that is too long for one turn of the reactor, in pieces.
 *
 * @module
 */

/**
 * Work in pieces of some microseconds: each `yield` ends one, and events of
 * others may be served before the next. The last piece gives the result.
 */
export type Pieces<T = void> = Generator<void, T>;

/** Does all pieces of `work` now. */
export function atOnce<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value as T;
  }
}

/** Ends work between two of its pieces: what it does then is done now. */
export function abandon(work: Generator<unknown, unknown>): void {
  let { done } = work.return(undefined);
  while (done !== true) ({ done } = work.next());
}

/**
 * Does all `steps`, one a piece, whatever some of them throw. Those that are
 * left when the work is abandoned are done at once.
 *
 * @throws {unknown} What the first of those threw, after the last step.
 */
export function inPieces(steps: Iterable<() => void>): Pieces {
  return eachPart(steps, onePiece);
}

/**
 * Does the `work` of all `parts`, one after another, whatever some of them
 * throw. What is left when it is abandoned is done at once: a safe state of a
 * line that nothing else knows of any more may be among it.
 *
 * @throws {unknown} What the first of those threw, after the last part.
 */
export function* eachPart<P>(
  parts: Iterable<P>,
  work: (part: P) => Pieces,
): Pieces {
  const all = [...parts];
  let next = 0;
  let first: { error: unknown } | undefined;
  try {
    while (next < all.length) {
      try {
        yield* work(all[next++]!);
      } catch (error) {
        first ??= { error };
        yield;
      }
    }
  } finally {
    // Abandoned: the part that was under way has seen to itself.
    while (next < all.length) {
      try {
        atOnce(work(all[next++]!));
      } catch (error) {
        first ??= { error };
      }
    }
  }
  if (first !== undefined) throw first.error;
}

/** Work of one piece. */
export function* onePiece(step: () => void): Pieces {
  step();
  yield;
}

/** Steps that take back what was begun, the last first. */
export class Undo {
  #steps: (() => void)[] = [];

  /** Has one more step. */
  add(step: () => void): void {
    this.#steps.push(step);
  }

  /** Needs none of the steps any more. */
  clear(): void {
    this.#steps = [];
  }

  /**
   * Does the steps, one a piece; what they throw is in vain. Those that are left
   * when this is abandoned are done at once.
   */
  *run(): Pieces {
    try {
      while (this.#doOne()) yield;
    } finally {
      while (this.#doOne());
    }
  }

  /** Does the last step; false if there is none. */
  #doOne(): boolean {
    const step = this.#steps.pop();
    try {
      step?.();
    } catch {
      // The reason for undoing is reported to its user.
    }
    return step !== undefined;
  }
}
