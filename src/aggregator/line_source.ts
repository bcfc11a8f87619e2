/**
 * What an aggregator's line is made of: the seam between its rules and the
 * chip line, simulated line or wire behind it.
 *
 * @module
 */
import {
  type Direction,
  type Edges,
  LineOperation,
} from "../virtio/line_port.ts";

/** What an aggregator's line can ask of its source. */
export const SourceOperation = {
  ...LineOperation,
  /** Let the host line go until the next operation needs it. Argument 0. */
  Release: 6,
} as const;
/** One of the {@linkcode SourceOperation} numbers. */
export type SourceOperation =
  typeof SourceOperation[keyof typeof SourceOperation];

/** Where a source reports to. */
export interface SourceListener {
  /** The operation that answered `PENDING` is done: 0, a value, or `FAILED`. */
  completed(result: number): void;
  /** The line changed to `value`, and such edges were asked for. */
  edge(value: number): void;
  /**
   * The line's chip went or came back. When it came back the line is as it was
   * left, and edges that were missed have been reported.
   */
  presence(isPresent: boolean): void;
  /** The value can be read again: a level interrupt may be due. */
  restored(): void;
}

/**
 * One line behind an aggregator's line. Speaks in logical values; takes the
 * operations of {@linkcode SourceOperation}, one at a time.
 *
 * **Ownership**: belongs to one aggregator line, which disposes it.
 */
export interface LineSource extends Disposable {
  /** What messages call it: `gpiochip0 line 4 "START"`. */
  readonly description: string;
  /** The line's own name; empty for none. */
  readonly name: string;
  /** The present direction: never `None`. */
  readonly direction: Direction;
  /** The host line was had by an earlier process and never let go since. */
  readonly isKept?: boolean;
  /**
   * The edges that a kept line reports from the start, those that came while
   * nobody served it first: they are for a guest that never noticed.
   */
  readonly keptEdges?: Edges;
  /** Edges that the kernel dropped, its buffer being full, so far. */
  readonly lostEdges?: number;
  /** Edges of one kind that were told as one, by a lane, so far. */
  readonly mergedEdges?: number;
  /** Says who is told. */
  attach(listener: SourceListener): void;
  /** Starts an operation: 0, a value, `FAILED`, or `PENDING`. */
  submit(operation: SourceOperation, argument: number): number;
  /** The value as far as it is known without waiting; `FAILED` if it is not. */
  peek(): number;
  /** Whether the chip is away; such a line fails whatever is asked of it. */
  readonly isAbsent?: boolean;
  /**
   * Has an absent line made so as soon as its chip is there.
   *
   * @param operation `Input`, `Output` or `Release`.
   */
  remember?(operation: SourceOperation, argument: number): void;
  /** The source that this one stands before. */
  readonly wrapped?: LineSource;
}

/** The source at the bottom, behind all that stands before it. */
export function innermost(source: LineSource): LineSource {
  let at = source;
  while (at.wrapped !== undefined) at = at.wrapped;
  return at;
}
