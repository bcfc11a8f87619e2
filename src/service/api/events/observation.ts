/**
 * Reports of changed lines, on while there are listeners of events.
 *
 * Turning them on or off makes the reactor go through all lines. Therefore one
 * change is under way at a time, and they stay on for a while after the last
 * listener: clients that come and go as fast as they can cost nothing more than
 * one that stays.
 *
 * @module
 */

/** Time that reports stay on without a listener. **Units**: milliseconds. */
const LINGER_MS = 2000;

/** Turns reports of changed lines on and off. */
export class Observation implements Disposable {
  readonly #observe: (on: boolean) => Promise<void>;
  readonly #lingerMs: number;
  #hasListeners = false;
  /** State that is wanted. */
  #isWanted = false;
  /** State that was requested last. */
  #isOn = false;
  /** The change under way. */
  #change: Promise<void> | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  /** Starts without reports; `observe` turns them on and off. */
  constructor(
    observe: (on: boolean) => Promise<void>,
    lingerMs = LINGER_MS,
  ) {
    this.#observe = observe;
    this.#lingerMs = lingerMs;
  }

  /**
   * Turns reports on for a listener that comes, and resolves once they are on:
   * a state that is asked for then, and the reports, leave no gap.
   */
  async begin(): Promise<void> {
    this.#isWanted = true;
    this.#waitForListeners();
    this.#goOn();
    while (!this.#isOn || this.#change !== undefined) {
      if (this.#isOver) return;
      this.#isWanted = true;
      this.#goOn();
      await this.#change;
    }
  }

  /** Takes note that there are listeners, or none any more. */
  setListeners(hasListeners: boolean): void {
    this.#hasListeners = hasListeners;
    if (!hasListeners) return this.#waitForListeners();
    this.#isWanted = true;
    this.#goOn();
  }

  /** Changes nothing any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#linger);
  }

  #waitForListeners(): void {
    clearTimeout(this.#linger);
    if (this.#isOver) return;
    this.#linger = setTimeout(() => {
      if (this.#hasListeners) return;
      this.#isWanted = false;
      this.#goOn();
    }, this.#lingerMs);
  }

  #goOn(): void {
    if (this.#isOver || this.#change !== undefined) return;
    if (this.#isOn === this.#isWanted) return;
    this.#isOn = this.#isWanted;
    const end = () => {
      this.#change = undefined;
      this.#goOn();
    };
    // A reactor that ends does not answer, and need not.
    this.#change = this.#observe(this.#isWanted).then(end, end);
  }
}
