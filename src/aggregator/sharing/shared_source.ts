/**
 * A source that several users ask: their operations wait for each other.
 *
 * @module
 */
import { FAILED, PENDING } from "../../line/port.ts";
import type { LineSource, SourceListener } from "../line_source.ts";

/**
 * A user of the source. A user asks for one thing at a time and knows
 * itself what that is, so that nothing is made for a request.
 */
export interface SharedUser {
  /** Asks the source; or says at once what the result is. */
  start(): number;
  /** Interprets the result; returns the user's own result. */
  finish(result: number): number;
  /** Hears the user's own result, after it was told to wait. */
  tell(result: number): void;
}

/** Common part of shared, combined and followed lines. */
export abstract class SharedSource implements SourceListener {
  /** The source behind all users. */
  protected readonly source: LineSource;
  readonly #waiting: SharedUser[] = [];
  #current: SharedUser | undefined;

  /**
   * Stands before `source`.
   *
   * @param isBusy Whether an operation is under way that began before.
   */
  constructor(source: LineSource, isBusy = false) {
    this.source = source;
    source.attach(this);
    if (isBusy) {
      this.#current = {
        start: () => FAILED,
        finish: (result) => result,
        tell: (result) => this.earlierCompleted(result),
      };
    }
  }

  /**
   * Does what `user` wants when its turn has come: its result, or `PENDING`.
   */
  protected perform(user: SharedUser): number {
    if (this.#current !== undefined || this.#waiting.length > 0) {
      this.#waiting.push(user);
      return PENDING;
    }
    const result = user.start();
    if (result !== PENDING) return user.finish(result);
    this.#current = user;
    return PENDING;
  }

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

  /** The operation ended that had begun before this object stood here. */
  protected earlierCompleted(_result: number): void {
    // No one waits for it, unless a line that was in use is stood before.
  }

  abstract edge(value: number): void;
  abstract presence(isPresent: boolean): void;
  abstract restored(): void;
}
