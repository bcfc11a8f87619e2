/**
 * Value that an output was last asked for: by its guest, or by a rule since. An
 * operator's force is not a request, nor is the start of the line.
 *
 * @module
 */
import type { RequestedState } from "./line_force.ts";
import type { LineMemory } from "./line_memory.ts";
import { SourceOperation } from "./line_source.ts";

/** The last request of one line. */
export class LastRequest {
  /** Memory in which it outlives this process, while there is a guest. */
  #memory: LineMemory | undefined;
  /**
   * Set if an earlier process knew the value and the line does not have it: it
   * was started anew.
   */
  isDue = false;
  #value: number | undefined;
  #lineNumber = 0;

  /** The value; undefined if none was asked for. */
  get value(): number | undefined {
    return this.#value;
  }

  /** Keeps it in `memory` from now on, as that of this line, or nowhere. */
  keepIn(memory: LineMemory | undefined, lineNumber: number): void {
    this.#memory = memory;
    this.#lineNumber = lineNumber;
    this.#keep();
  }

  /** Another value was asked for; negative or undefined: none any more. */
  note(value: number | undefined): void {
    this.isDue = false;
    this.#value = value === undefined || value < 0 ? undefined : value;
    this.#keep();
  }

  /** The same, of the state that a forced output goes back to. */
  noteState({ operation, argument }: RequestedState): void {
    this.note(operation === SourceOperation.Input ? undefined : argument);
  }

  /** An earlier process knew it; `isDue` says that the line does not have it. */
  resume(value: number, isDue: boolean): void {
    this.#value = value;
    this.isDue = isDue;
  }

  #keep(): void {
    const memory = this.#memory;
    if (memory === undefined) return;
    if (this.#value === undefined) memory.clear(this.#lineNumber);
    else {
      memory.setOperation(
        this.#lineNumber,
        SourceOperation.Output,
        this.#value,
      );
    }
  }
}
