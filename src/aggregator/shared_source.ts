/**
 * A source that several users ask: their operations wait for each other.
 *
 * @module
 */
import { FAILED, PENDING } from "../virtio/line_port.ts";
import type { LineSource, SourceListener } from "./line_source.ts";

/** An operation of one user. */
interface Job {
  /** Asks the source; or says at once what the result is. */
  start: () => number;
  /** What the result means; its own result is what the user gets. */
  finish: (result: number) => number;
  /** Tells the user, who was told to wait. */
  tell: (result: number) => void;
}

/** What shared, combined and followed lines have in common. */
export abstract class SharedSource implements SourceListener {
  /** The source behind all users. */
  protected readonly source: LineSource;
  readonly #waiting: Job[] = [];
  #current: Job | undefined;

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

  /** Has an operation done when its turn has come: its result, or `PENDING`. */
  protected perform(
    start: () => number,
    finish: (result: number) => number,
    tell: (result: number) => void,
  ): number {
    const job = { start, finish, tell };
    if (this.#current !== undefined || this.#waiting.length > 0) {
      this.#waiting.push(job);
      return PENDING;
    }
    const result = start();
    if (result !== PENDING) return finish(result);
    this.#current = job;
    return PENDING;
  }

  completed(result: number): void {
    const job = this.#current;
    this.#current = undefined;
    job?.tell(job.finish(result));
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
    // Nobody waits for it, unless a line that was in use is stood before.
  }

  abstract edge(value: number): void;
  abstract presence(isPresent: boolean): void;
  abstract restored(): void;
}
