/**
 * The one small interface between the virtio-gpio device and whatever moves
 * its lines. The device model never learns what is behind it, so the whole
 * guest-facing side runs in tests without a kernel.
 *
 * Levels here are what the guest says: 0 is low, 1 is high. Code that
 * implements a port turns them into values and physical levels.
 *
 * @module
 */

/** Operations on a line. */
export const LineOperation = {
  /**
   * The guest is done with the line: its state is discarded, and edges are no
   * longer reported. The argument is a `Departure` value.
   */
  Deactivate: 0,
  /** Make the line an input. Argument 0. */
  Input: 1,
  /**
   * Make the line an output; the argument is the level, or `UNSPECIFIED`. Edges
   * are no longer reported if it becomes one.
   */
  Output: 2,
  /** Read the line. Argument 0; the result is the level. */
  GetValue: 3,
  /** Drive an output; the argument is the level. */
  SetValue: 4,
  /** Report these edges from now on; the argument is an `Edges` value. */
  SetEdges: 5,
} as const;
/** One of the {@linkcode LineOperation} numbers. */
export type LineOperation = typeof LineOperation[keyof typeof LineOperation];

/** Why a line is deactivated. */
export const Departure = {
  /** The guest gave this line back, and may take it again any time. */
  LineReleased: 0,
  /** The guest is gone: device reset, next guest, lost frontend. */
  GuestGone: 1,
} as const;
/** One of the {@linkcode Departure} numbers. */
export type Departure = typeof Departure[keyof typeof Departure];

/** Which level changes a line reports. */
export const Edges = { None: 0, Rising: 1, Falling: 2, Both: 3 } as const;
/** One of the {@linkcode Edges} numbers. */
export type Edges = typeof Edges[keyof typeof Edges];

/** A line's direction, in the numbers of the virtio-gpio messages. */
export const Direction = { None: 0, Output: 1, Input: 2 } as const;
/** One of the {@linkcode Direction} numbers. */
export type Direction = typeof Direction[keyof typeof Direction];

/**
 * Argument of `LineOperation.Output`: keep the line's present level. Guest state
 * that outlives a process has it relative to this number.
 */
export const UNSPECIFIED = -1;
/**
 * Result of `submit`: refused or failed; the guest gets an error status. Never
 * equal to an argument.
 */
export const FAILED = -3;
/** Result of `submit`: not done yet; `LineListener.completed` follows, once. */
export const PENDING = -2;

/** The device's side of a port: where a line reports to. */
export interface LineListener {
  /**
   * The operation that answered `PENDING` is done: `result` is 0, a level, or
   * `FAILED`. Called once per such operation, never from inside `submit`.
   */
  completed(lineNumber: number, result: number): void;
  /**
   * The line changed to `level`, and such edges were asked for. Never called
   * from inside `submit` of the same line, but `submit` may be called from
   * inside this: a level interrupt reads the line again.
   */
  edge(lineNumber: number, level: number): void;
  /**
   * The line is back after its chip was away: a level interrupt may be due.
   * Changes in between have been reported as an edge. Never called from inside
   * `submit`.
   */
  restored?(lineNumber: number): void;
}

/**
 * One line, as a device sees it. At most one operation is under way at a time.
 */
export interface LinePort {
  /**
   * The name the guest sees; empty for none. 7-bit and unique in its device.
   */
  readonly name: string;
  /**
   * The present direction, the host's truth: never `None`. Follows each
   * operation before that is reported done.
   */
  readonly direction: Direction;
  /** Sets the receiver of completions and edges, and its lineNumber. */
  attach(listener: LineListener, lineNumber: number): void;
  /**
   * Starts an operation. Never throws.
   *
   * @returns 0 or the level when it was done at once, `FAILED`, or `PENDING`.
   * **Blocking**: never longer than one non-sleeping ioctl.
   */
  submit(operation: LineOperation, argument: number): number;
}
