/**
 * Gathers the changes of one aggregator's lines for whoever watches, so that a
 * guest that toggles a line a million times a second costs the host a report
 * fifty times a second, and no more.
 *
 * @module
 */
import type { LineObserver } from "../aggregator/aggregator_line.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";

/** How long changes are gathered before they are told. **Units**: ms. */
const GATHER_MS = 20;

/** Counts changes by line, and reports them a moment later. */
export class ChangeCollector implements LineObserver, Disposable {
  readonly #loop: EventLoop;
  readonly #report: (changes: ReadonlyMap<number, number>) => void;
  #counts = new Map<number, number>();
  #timer: Timer | undefined;

  /** `report` gets lineNumbers with how often each changed. */
  constructor(
    loop: EventLoop,
    report: (changes: ReadonlyMap<number, number>) => void,
  ) {
    this.#loop = loop;
    this.#report = report;
  }

  /** See {@linkcode LineObserver.lineChanged}. */
  lineChanged(lineNumber: number): void {
    this.#counts.set(lineNumber, (this.#counts.get(lineNumber) ?? 0) + 1);
    this.#timer ??= this.#loop.after(GATHER_MS, this.#flush);
  }

  /** Tells no more. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#counts.clear();
  }

  readonly #flush = (): void => {
    this.#timer = undefined;
    const counts = this.#counts;
    this.#counts = new Map();
    this.#report(counts);
  };
}
