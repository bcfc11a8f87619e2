/**
 * Operations of several users on one source, one after the other.
 *
 * @module
 */
import { FAILED, PENDING } from "../../line/port.ts";

/**
 * A user of the source. A user asks for one thing at a time and knows
 * itself what that is, so that nothing is made for a request.
 */
export interface SharedUser {
  /** Asks the source; or says at once what the result is. */
  start(): number;
  /** Interprets the result; returns the user's own result. */
  finish(result: number): number;
  /** Receives the user's own result, after it had to wait. */
  tell(result: number): void;
}

/** The users of a source that wait for each other. */
export class SourceTurns {
  readonly #waiting: SharedUser[] = [];
  #current: SharedUser | undefined;

  /** Lets an operation end that began before; `tell` receives its result. */
  follow(tell: (result: number) => void): void {
    this.#current = { start: () => FAILED, finish: (result) => result, tell };
  }

  /**
   * Does what `user` wants when its turn has come: its result, or `PENDING`.
   */
  perform(user: SharedUser): number {
    if (this.#current !== undefined || this.#waiting.length > 0) {
      this.#waiting.push(user);
      return PENDING;
    }
    const result = user.start();
    if (result !== PENDING) return user.finish(result);
    this.#current = user;
    return PENDING;
  }

  /** Delivers the result of the source's operation, and starts the next ones. */
  completed(result: number): void {
    const user = this.#current;
    this.#current = undefined;
    user?.tell(user.finish(result));
    while (this.#current === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const result = next.start();
      if (result === PENDING) this.#current = next;
      else next.tell(next.finish(result));
    }
  }
}
