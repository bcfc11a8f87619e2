/**
 * Sources of aggregators' lines: the seam between a line's rules and the chip
 * line, simulated line or wire behind it.
 *
 * @module
 */
import type { PendingRuleState } from "../client/protocol.ts";
import { type Direction, type Edges, LineOperation } from "../line/port.ts";

/** Operations of an aggregator's line on its source. */
export const SourceOperation = {
  ...LineOperation,
  /** Let the host line go until the next operation needs it. Argument 0. */
  Release: 6,
} as const;
/** One of the {@linkcode SourceOperation} numbers. */
export type SourceOperation =
  typeof SourceOperation[keyof typeof SourceOperation];

/** Receiver of a source's reports. */
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
  /**
   * The requested operation took effect: called before the lines that
   * follow this one are notified, if there may be any.
   */
  applied?(operation: SourceOperation, argument: number): void;
  /** The line has another value, without a report to its guest. */
  moved?(value: number): void;
  /**
   * A state that the source is to have by itself could not be applied, and is
   * retried. At a bounded rate.
   */
  rulePending?(rule: string, reason: string): void;
  /** An operator cannot hold the line any more, for this reason. */
  overruled?(reason: string): void;
  /** That state holds now, after `effort` in words. */
  ruleHolds?(rule: string, effort: string): void;
}

/**
 * One line behind an aggregator's line. Speaks in logical values; takes the
 * operations of {@linkcode SourceOperation}, one at a time.
 *
 * **Ownership**: belongs to one aggregator line, which disposes it.
 */
export interface LineSource extends Disposable {
  /** Name in messages: `gpiochip0 line 4 "START"`. */
  readonly description: string;
  /** The line's own name; empty for none. */
  readonly name: string;
  /** The present direction: never `None`. */
  readonly direction: Direction;
  /** The host line was had by an earlier process and never let go since. */
  readonly isKept?: boolean;
  /**
   * The edges that a kept line reports from the start, those that came while
   * no process served it first: they are for a guest that never noticed.
   */
  readonly keptEdges?: Edges;
  /** Edges that the kernel dropped, its buffer being full, so far. */
  readonly lostEdges?: number;
  /** Edges of one kind that a lane reported as one so far. */
  readonly mergedEdges?: number;
  /** Sets the receiver of reports. */
  attach(listener: SourceListener): void;
  /** Starts an operation: 0, a value, `FAILED`, or `PENDING`. */
  submit(operation: SourceOperation, argument: number): number;
  /** The value as far as it is known without waiting; `FAILED` if it is not. */
  peek(): number;
  /**
   * The value that a probe would show, of a source that always knows it; `FAILED`
   * if it has none. What is driven need not be what is shown.
   */
  readonly shown?: number;
  /** Error number of the last operation that failed; 0 if there is none. */
  readonly errno?: number;
  /** Set if a driver had the line as an interrupt when it was requested. */
  readonly isUsedAsInterrupt?: boolean;
  /** Set if a lane has tried in vain to start the line. */
  readonly isUnstarted?: boolean;
  /** A state that the source is to have by itself, while that is retried. */
  readonly pendingRule?: PendingRuleState | undefined;
  /** True while the chip is away; such a line fails whatever is asked of it. */
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

/** Returns the source of this kind that `source` is or wraps, if any. */
export function findSource<T extends LineSource>(
  source: LineSource,
  kind: new (...args: never[]) => T,
): T | undefined {
  for (
    let at: LineSource | undefined = source;
    at !== undefined;
    at = at.wrapped
  ) if (at instanceof kind) return at;
  return undefined;
}
