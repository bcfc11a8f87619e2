/**
 * The end of a guest, in parts: lines go where their rules say at once for as
 * long as a turn's time lasts, and in the next turns otherwise. What is no safe
 * state, such as disabled interrupts, comes after all that is.
 *
 * @module
 */
import type { EventLoop } from "../reactor/event_loop.ts";

/** Time of one turn. **Units**: milliseconds. */
const SLICE_MS = 0.2;

/** A line that waits for a later turn. */
export interface DeferredLine {
  /** True while it waits. */
  readonly isPutOff: boolean;
  /** Does what it has waited with, its rule first. */
  goOn(): void;
}

/** The lines of one aggregator that wait for a later turn. */
export class GuestTeardown {
  readonly #loop: EventLoop;
  readonly #now: () => number;
  /** Lines whose rule waits. */
  #unsafe: DeferredLine[] = [];
  /** Others. */
  #rest: DeferredLine[] = [];
  /** Begin of the turn's time; undefined: nothing was done in this turn. */
  #begunAt: number | undefined;
  #isDeferred = false;

  /** Goes on in `loop`. */
  constructor(loop: EventLoop, now: () => number = () => performance.now()) {
    this.#loop = loop;
    this.#now = now;
  }

  /** Takes the time of one more rule; false if the turn's time is used up. */
  take(): boolean {
    this.#goOnLater();
    this.#begunAt ??= this.#now();
    return this.#unsafe.length === 0 && this.#hasTime;
  }

  /** Has a line go on in a later turn. */
  putOff(line: DeferredLine, isUnsafe: boolean): void {
    (isUnsafe ? this.#unsafe : this.#rest).push(line);
    this.#goOnLater();
  }

  get #hasTime(): boolean {
    return this.#now() - this.#begunAt! < SLICE_MS;
  }

  #goOnLater(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#loop.defer(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isDeferred = false;
    this.#begunAt = undefined;
    if (this.#unsafe.length + this.#rest.length === 0) return;
    this.#goOnLater();
    this.#begunAt = this.#now();
    let first: { error: unknown } | undefined;
    const goOn = (lines: readonly DeferredLine[]): number => {
      let done = 0;
      do {
        const line = lines[done++]!;
        // It may have gone on with something else, or be let go.
        if (!line.isPutOff) continue;
        try {
          line.goOn();
        } catch (error) {
          first ??= { error };
        }
      } while (done < lines.length && this.#hasTime);
      return done;
    };
    // What they put off meanwhile comes after them.
    const unsafe = this.#unsafe;
    if (unsafe.length > 0) this.#unsafe = unsafe.slice(goOn(unsafe));
    const rest = this.#rest;
    if (this.#unsafe.length === 0 && rest.length > 0 && this.#hasTime) {
      this.#rest = rest.slice(goOn(rest));
    }
    if (first !== undefined) throw first.error;
  };
}
