/**
 * A value that an operator holds a line at for a time: an output is driven to
 * it, and goes back to what its guest asked for last; of an input the guest sees
 * it in place of the line's own.
 *
 * @module
 */
import type { Value } from "../line/value.ts";
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
export interface RequestedState {
  /** `SetValue`, `Output` or `Input`. */
  readonly operation: SourceOperation;
  /** Value, or 0. */
  readonly argument: number;
}

/** Receiver of what happens to one line's force. Must be cheap. */
interface ForceListener {
  /** The guest asked for this, which waits for the end of the force. */
  kept(requested: RequestedState): void;
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
  readonly #requested: { operation: SourceOperation; argument: number };

  /** Holds a line at `value`; an output goes back to `requested`, an input has none. */
  constructor(
    value: Value,
    requested: RequestedState | undefined,
    info: ForceInfo,
    listener: ForceListener,
  ) {
    this.value = value;
    this.isOutput = requested !== undefined;
    this.info = info;
    this.#listener = listener;
    this.#requested = {
      ...(requested ?? { operation: SourceOperation.Input, argument: 0 }),
    };
    if (requested !== undefined) listener.kept(this.#requested);
  }

  /** State that the guest requested last; it changes while the force lasts. */
  get requested(): RequestedState {
    return this.#requested;
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
    const requested = this.#requested;
    switch (operation) {
      case SourceOperation.SetValue:
        // An input takes it once it is an output.
        requested.argument = argument;
        break;
      case SourceOperation.Output:
        requested.operation = operation;
        if (argument !== UNSPECIFIED) requested.argument = argument;
        break;
      case SourceOperation.Input:
        requested.operation = operation;
        break;
      default:
        return false;
    }
    this.#listener.kept(requested);
    return true;
  }

  /** It is over. */
  ended(reason: string): void {
    this.#listener.ended(reason);
  }
}

/** Returns the step that leads to what a guest asked for before a cause. */
export function backStep(
  { operation, argument }: RequestedState,
  cause: string,
): RuleStep {
  const isInput = operation === SourceOperation.Input;
  return {
    operation,
    argument: isInput ? 0 : argument,
    title: `${isInput ? "input" : `value ${argument}`} after ${cause}`,
  };
}
