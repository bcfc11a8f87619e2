/**
 * Collects the changes of one aggregator's lines for watchers. A guest that
 * toggles a line a million times a second costs the host at most fifty reports
 * a second.
 *
 * @module
 */
import type { LineObserver } from "../../aggregator/line_observation.ts";
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";

/** Time that changes are collected before a report. **Units**: ms. */
const GATHER_MS = 20;
/** Lines of one report: describing one takes one or two microseconds. */
const LINES_PER_REPORT = 64;
/** Time between the reports of many lines. **Units**: ms. */
const NEXT_MS = 1;

/** Counts changes by line, and reports them a moment later. */
export class ChangeCollector implements LineObserver, Disposable {
  readonly #loop: EventLoop;
  readonly #report: (changes: ReadonlyMap<number, number>) => void;
  readonly #counts = new Map<number, number>();
  #timer: Timer | undefined;

  /** `report` gets lineNumbers, each with its number of changes. */
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

  /** Stops reporting. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#counts.clear();
  }

  readonly #flush = (): void => {
    this.#timer = undefined;
    const counts = new Map<number, number>();
    for (const [lineNumber, count] of this.#counts) {
      if (counts.size === LINES_PER_REPORT) break;
      counts.set(lineNumber, count);
      this.#counts.delete(lineNumber);
    }
    // The rest follows later: guests are served in between.
    if (this.#counts.size > 0) {
      this.#timer = this.#loop.after(NEXT_MS, this.#flush);
    }
    this.#report(counts);
  };
}
