/**
 * A value that an operator holds a line at for a time: an output is driven to
 * it, and goes back to what its guest asked for last; of an input the guest sees
 * it in place of the line's own.
 *
 * @module
 */
import type { Value } from "../config/specification.ts";
import { UNSPECIFIED } from "../line/port.ts";
import { SourceOperation } from "./line_source.ts";
import type { RuleStep } from "./rules/rule_steps.ts";

/** Reason and end of a force, as they are reported. */
interface ForceInfo {
  /** Time at which it ends. **Units**: milliseconds since 1970. */
  readonly until: number;
  readonly reason: string;
  /** User that asked for it. */
  readonly by: number;
}

/** State that a forced output goes back to. */
export interface GuestWish {
  /** `SetValue`, `Output` or `Input`. */
  readonly operation: SourceOperation;
  /** Value, or 0. */
  readonly argument: number;
}

/** Receiver of what happens to one line's force. Must be cheap. */
interface ForceListener {
  /** The guest asked for this, which waits for the end of the force. */
  kept(wish: GuestWish): void;
  /** It is over. */
  ended(reason: string): void;
}

/** The force of one line. */
export class LineForce {
  readonly value: Value;
  /** True if it drives the line. */
  readonly isOutput: boolean;
  readonly info: ForceInfo;
  readonly #listener: ForceListener;
  readonly #wish: { operation: SourceOperation; argument: number };

  /** Holds a line at `value`; an output goes back to `wish`, an input has none. */
  constructor(
    value: Value,
    wish: GuestWish | undefined,
    info: ForceInfo,
    listener: ForceListener,
  ) {
    this.value = value;
    this.isOutput = wish !== undefined;
    this.info = info;
    this.#listener = listener;
    this.#wish = {
      ...(wish ?? { operation: SourceOperation.Input, argument: 0 }),
    };
    if (wish !== undefined) listener.kept(this.#wish);
  }

  /** Last wish of the guest; it changes while the force lasts. */
  get wish(): GuestWish {
    return this.#wish;
  }

  /** The step that drives the value. */
  get step(): RuleStep {
    return {
      operation: SourceOperation.SetValue,
      argument: this.value,
      title: `forced value ${this.value}`,
    };
  }

  /**
   * Keeps an operation of the guest until the end.
   *
   * @returns False if it is not one that drives or turns the line.
   */
  keep(operation: SourceOperation, argument: number): boolean {
    const wish = this.#wish;
    switch (operation) {
      case SourceOperation.SetValue:
        // An input takes it once it is an output.
        wish.argument = argument;
        break;
      case SourceOperation.Output:
        wish.operation = operation;
        if (argument !== UNSPECIFIED) wish.argument = argument;
        break;
      case SourceOperation.Input:
        wish.operation = operation;
        break;
      default:
        return false;
    }
    this.#listener.kept(wish);
    return true;
  }

  /** It is over. */
  ended(reason: string): void {
    this.#listener.ended(reason);
  }
}

/** Returns the step that leads to what a guest asked for. */
export function backStep({ operation, argument }: GuestWish): RuleStep {
  const isInput = operation === SourceOperation.Input;
  return {
    operation,
    argument: isInput ? 0 : argument,
    title: isInput ? "input after a force" : `value ${argument} after a force`,
  };
}
