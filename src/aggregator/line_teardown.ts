/**
 * A line's part in the end of its guest: what is put off to a later turn.
 *
 * @module
 */
import type { DeferredLine, GuestTeardown } from "./guest_teardown.ts";
import type { LineOperations } from "./line_operations.ts";

/** Work of one line that waits for a later turn. */
export class LineTeardown implements DeferredLine {
  /** Time for the end of a guest; absent: as much as it takes. */
  teardown: GuestTeardown | undefined;
  readonly #operations: LineOperations;
  readonly #onGoOn: () => void;
  /** Set while the line does what was put off. */
  #isGoingOn = false;

  /** Puts `operations` off; `onGoOn` does in a later turn what they wait with. */
  constructor(operations: LineOperations, onGoOn: () => void) {
    this.#operations = operations;
    this.#onGoOn = onGoOn;
  }

  get isPutOff(): boolean {
    return this.#operations.isPutOff;
  }

  goOn(): void {
    this.#isGoingOn = true;
    try {
      this.#onGoOn();
    } finally {
      this.#isGoingOn = false;
    }
  }

  /**
   * Has interrupts of a guest that is gone disabled in a later turn, after all
   * safe states: the kernel may take a while for each.
   *
   * @returns False if that is done now.
   */
  putOff(): boolean {
    const { teardown } = this;
    if (teardown === undefined || this.#isGoingOn) return false;
    this.#operations.putOff();
    teardown.putOff(this, false);
    return true;
  }

  /** Has a safe state applied while the turn's time lasts, or else first. */
  enforce(want: () => void): void {
    const operations = this.#operations;
    const { isPutOff } = operations;
    if (this.teardown === undefined) return want();
    const isNow = this.teardown.take();
    if (isNow && isPutOff) {
      // Before what it waits with.
      operations.ended();
      want();
      if (!operations.isBusy) operations.putOff();
      return;
    }
    if (!isNow && (isPutOff || !operations.isBusy)) {
      operations.putOff();
      this.teardown.putOff(this, true);
    }
    want();
  }

  /** Ends it: the line is not waited for any more. */
  end(): void {
    this.teardown = undefined;
    if (this.isPutOff) this.#operations.ended();
  }
}
