/**
 * Lines of an adapter that go on in the next process as its guest knows them.
 *
 * @module
 */
import { Edges, FAILED, LineOperation, PENDING } from "../../line/port.ts";
import type { LineBank } from "./line_bank.ts";

/** Purpose of an operation by which a line goes on. */
export const RESTORE = 100;

/** Receiver of how that goes. */
interface RestoringEvents {
  /** A line cannot go on. */
  failed(): void;
  /** All lines go on, or have failed. */
  done(): void;
}

/** The lines, until they all go on. */
export class RestoringLines {
  /** Operations that are not done. */
  #left = 0;
  #events: RestoringEvents | undefined;

  /** True while requests of the guest have to wait. */
  get isUnderWay(): boolean {
    return this.#left > 0;
  }

  /**
   * Makes inputs of lines, which report their edges again. Outputs are left as
   * they are: nothing is ever driven.
   *
   * @param inputEdges Edges that a line reports; undefined: it is left as it is.
   */
  begin(
    bank: LineBank,
    inputEdges: (line: number) => Edges | undefined,
    events: RestoringEvents,
  ): void {
    this.#events = events;
    this.#left = 1;
    for (let line = 0; line < bank.length; line++) {
      const edges = inputEdges(line);
      if (edges === undefined) continue;
      this.#submit(bank, line, LineOperation.Input, 0);
      if (edges === Edges.None) continue;
      this.#submit(bank, line, LineOperation.SetEdges, edges);
    }
    this.stepDone(0);
  }

  /** An operation with the purpose `RESTORE` is done. */
  stepDone(result: number): void {
    // Otherwise the guest has gone meanwhile.
    if (this.#left === 0) return;
    if (result === FAILED) this.#events!.failed();
    if (--this.#left === 0) this.#events!.done();
  }

  /** The guest is gone: its lines do not matter any more. */
  forget(): void {
    this.#left = 0;
  }

  #submit(
    bank: LineBank,
    line: number,
    operation: LineOperation,
    argument: number,
  ): void {
    this.#left++;
    const result = bank.submit(line, operation, argument, RESTORE);
    if (result !== PENDING) this.stepDone(result);
  }
}
