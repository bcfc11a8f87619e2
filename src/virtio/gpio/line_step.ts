/**
 * Steps of a line: requests, interrupts and restores that take several
 * operations of its port.
 *
 * @module
 */

/** Purpose of the operation that the port works on. */
export const Step = {
  Idle: 0,
  Read: 1,
  Drive: 2,
  Input: 3,
  Output: 4,
  Deactivate: 5,
  /** First half of SET_IRQ_TYPE: the line becomes an input. */
  IrqInput: 6,
  /** Second half of SET_IRQ_TYPE: its edges are asked for. */
  IrqEdges: 7,
  IrqOff: 8,
  /** The level is read for a level interrupt, not for a request. */
  LevelCheck: 9,
  /** The same, but the buffer it was for is gone: the level is read again. */
  StaleCheck: 10,
  /** The guest is gone. */
  Leave: 11,
  /** A guest that never noticed is back: the line becomes an input again. */
  RestoreInput: 12,
  /** The same: the edges of its interrupt are asked for again. */
  RestoreEdges: 13,
} as const;
/** One of them. */
export type Step = typeof Step[keyof typeof Step];
