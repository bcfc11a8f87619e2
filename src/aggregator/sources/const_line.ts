/**
 * A line that always has the same value.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import { Direction, FAILED } from "../../line/port.ts";
import { type LineSource, SourceOperation } from "../line_source.ts";

/** An input that never changes. */
export class ConstLine implements LineSource {
  readonly name = "";
  readonly direction = Direction.Input;
  readonly description: string;
  readonly #value: Value;

  /** Makes a line that is always `value`. */
  constructor(value: Value) {
    this.#value = value;
    this.description = `constant ${value}`;
  }

  attach(): void {
    // There is never anything to tell.
  }

  submit(operation: SourceOperation): number {
    switch (operation) {
      case SourceOperation.GetValue:
        return this.#value;
      case SourceOperation.Output:
      case SourceOperation.SetValue:
        return FAILED;
      default:
        return 0;
    }
  }

  get shown(): Value {
    return this.#value;
  }

  peek(): number {
    return this.#value;
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}
