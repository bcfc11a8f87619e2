/**
 * The operation that a line's source works on, and the guest's request that
 * waits behind it.
 *
 * @module
 */
import { LineOperation, PENDING } from "../line/port.ts";
import type { SourceOperation } from "./line_source.ts";

/** In place of an operation: the source is asked for an observer's edges. */
export const OBSERVING = -1;

/** In place of an operation: the source is to be asked in a later turn. */
export const PUT_OFF = -2;

/** No request waits. */
const NOTHING = -3;
/** The request that waited was dropped; its guest waits for an answer. */
const DROPPED = -4;

/** An operation of a source, or what stands in its place. */
export type LineWork = SourceOperation | typeof OBSERVING | typeof PUT_OFF;

/** Operations of one line, of which its source has one at a time. */
export class LineOperations {
  /** True while the source works on an operation, or is not asked yet. */
  isBusy = false;
  /** That operation, or the one before. */
  operation: LineWork = OBSERVING;
  /** Its argument. */
  argument = 0;
  /** Set if it is not a guest's: its result has no receiver. */
  isOwn = false;
  /** Argument of the request that waits. */
  waitingArgument = 0;
  #waiting: LineOperation | typeof NOTHING | typeof DROPPED = NOTHING;

  /** True while the line waits for a later turn, and its source for work. */
  get isPutOff(): boolean {
    return this.isBusy && this.operation === PUT_OFF;
  }

  /** Has everything wait for a later turn. */
  putOff(): void {
    this.began(PUT_OFF, 0);
    this.isOwn = true;
  }

  /** The source answered `PENDING`. */
  began(operation: LineWork, argument: number): void {
    this.isBusy = true;
    this.operation = operation;
    this.argument = argument;
  }

  /** The source is done. */
  ended(): void {
    this.isBusy = false;
    this.isOwn = false;
  }

  /** Has a guest's request wait; always `PENDING`. */
  queue(operation: LineOperation, argument: number): typeof PENDING {
    this.#waiting = operation;
    this.waitingArgument = argument;
    return PENDING;
  }

  /** Drops the request that waits, but for a guest's end. */
  drop(): void {
    if (!this.isBusy || this.#waiting === NOTHING) return;
    if (this.#waiting !== LineOperation.Deactivate) this.#waiting = DROPPED;
  }

  /** Returns true if a request was dropped since, whose guest must be notified. */
  takeDropped(): boolean {
    if (this.#waiting !== DROPPED) return false;
    this.#waiting = NOTHING;
    return true;
  }

  /** Takes the request that waits; undefined if there is none. */
  takeWaiting(): LineOperation | undefined {
    const waiting = this.#waiting;
    if (waiting === NOTHING || waiting === DROPPED) return undefined;
    this.#waiting = NOTHING;
    return waiting;
  }
}
