/**
 * Keeps events that a guest or VMM can cause from filling the host's log: a few
 * pass at once; of a flood only the last of every second does.
 *
 * @module
 */
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";
import type { ServiceEvent } from "../messages/messages.ts";

/** Events that pass at once before the limit applies. */
const BURST = 20;
/** Interval of events that pass in a flood. **Units**: milliseconds. */
const PERIOD_MS = 1000;

/** Passes the events of one aggregator on at a limited rate. */
export class EventLimiter implements Disposable {
  readonly #loop: EventLoop;
  readonly #pass: (event: ServiceEvent) => void;
  #credit = BURST;
  #refill: Timer | undefined;
  #last: ServiceEvent | undefined;
  #heldBack = 0;
  readonly #leftOut: Record<string, number> = {};

  /** Passes events to `pass`. */
  constructor(loop: EventLoop, pass: (event: ServiceEvent) => void) {
    this.#loop = loop;
    this.#pass = pass;
  }

  /** By kind: suppressed events. */
  get leftOut(): Readonly<Record<string, number>> {
    return this.#leftOut;
  }

  /** Passes the event on now, or the last of several within a second. */
  report(event: ServiceEvent): void {
    if (this.#credit > 0) {
      this.#credit--;
      this.#pass(event);
    } else {
      if (this.#last !== undefined) {
        const { event } = this.#last;
        this.#leftOut[event] = (this.#leftOut[event] ?? 0) + 1;
      }
      this.#heldBack++;
      this.#last = event;
    }
    this.#refill ??= this.#loop.after(PERIOD_MS, this.#onPeriod);
  }

  [Symbol.dispose](): void {
    this.#refill?.[Symbol.dispose]();
    this.#refill = undefined;
    this.#passLast();
  }

  readonly #onPeriod = (): void => {
    this.#refill = undefined;
    if (this.#last === undefined) this.#credit++;
    this.#passLast();
    // No wake-up at rest: the timer ends when the initial state is reached.
    if (this.#credit < BURST) {
      this.#refill = this.#loop.after(PERIOD_MS, this.#onPeriod);
    }
  };

  #passLast(): void {
    if (this.#last === undefined) return;
    const others = this.#heldBack - 1;
    const note = others === 0 ? "" : `${others} events before it not shown`;
    const detail = [this.#last.detail, note].filter((text) => text !== "");
    this.#pass({ ...this.#last, detail: detail.join("; ") });
    this.#last = undefined;
    this.#heldBack = 0;
  }
}
