/**
 * A pin of a controller with the line that it is tied to.
 *
 * @module
 */
import type { PinLine } from "../line/pin_line.ts";

/** Directions that the guest may give a pin. */
export type PinRule = "input" | "output" | "any";

/** A pin with the line that it is tied to. */
export interface LinkedPin {
  readonly pin: number;
  readonly line: PinLine;
  readonly rule: PinRule;
}

/** A pin for as long as one QEMU is connected. */
export class SessionPin {
  /** Number of the pin. */
  readonly pin: number;
  /** The line that it is tied to. */
  readonly line: PinLine;
  /** The guest drives it, as far as is known. */
  isOutput = false;
  /** It became an output, and its line was not notified yet. */
  isTurned = false;
  /** Level that the line was last driven to; -1: none. */
  driven = -1;
  /** Level that the pin is to be driven to, or was last; -1: none yet. */
  level = -1;
  /** `level` waits until QEMU has read what was sent before. */
  isLate = false;
  /**
   * A report of this pin is in the batch that is being settled, or after it.
   */
  isReported = false;
  readonly #linked: LinkedPin;

  /** Makes the pin as an input without a level. */
  constructor(linked: LinkedPin) {
    this.#linked = linked;
    this.pin = linked.pin;
    this.line = linked.line;
  }

  /** Directions that the guest may give it, read each time: rules may change. */
  get rule(): PinRule {
    return this.#linked.rule;
  }
}
