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
 * Does all `steps`, one a piece, whatever some of them throw.
 *
 * @throws {unknown} What the first of those threw, after the last step.
 */
export function* eachOf(steps: Iterable<() => void>): Pieces {
  let first: { error: unknown } | undefined;
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      first ??= { error };
    }
    yield;
  }
  if (first !== undefined) throw first.error;
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

  /** Does the steps, one a piece; what they throw is in vain. */
  *run(): Pieces {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        step();
      } catch {
        // The reason for undoing is what its user is told.
      }
      yield;
    }
  }
}
