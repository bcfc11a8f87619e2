/**
 * Seam between a line and a rule that looks at each request of its guest.
 *
 * @module
 */
import type { LineOperation } from "../line/port.ts";

/** Receiver of a line's operations, for a guard. Must be cheap. */
export interface GuardListener {
  /** The guest's operation that answered `PENDING` is done. */
  answered(result: number): void;
  /** A rule drove the line, not the guest. */
  ruleDrove(): void;
  /** Time until the line may change again; 0: now. **Units**: milliseconds. */
  readonly restMs: number;
}

/** Guard of a line's operations; the line goes on in `admit`. */
export type Guard = (operation: LineOperation, argument: number) => number;
