/**
 * Rules that look at each request of a guest. They stand before the lines that
 * have such a rule, and only there.
 *
 * @module
 */
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import {
  Departure,
  Direction,
  FAILED,
  LineOperation,
  PENDING,
  UNSPECIFIED,
} from "../line/port.ts";
import type { AggregatorLine } from "./aggregator_line.ts";
import type { GuardListener } from "./guard.ts";

/** The clock of the rules. **Units**: milliseconds, monotonic. */
type Clock = () => number;

/** The rules of one aggregator's lines that look at its guest's requests. */
export class Guards implements Disposable {
  readonly #lines: readonly AggregatorLine[];
  readonly #watchdog: SilenceWatchdog;
  readonly #now: Clock;
  #intervals: MinInterval[] = [];

  /** Starts without watches. `silent` is called for a line made safe. */
  constructor(
    lines: readonly AggregatorLine[],
    loop: EventLoop,
    silent: (line: AggregatorLine) => void,
    now: Clock = () => performance.now(),
  ) {
    this.#lines = lines;
    this.#now = now;
    this.#watchdog = new SilenceWatchdog(loop, silent, now);
  }

  /** Puts guards where the lines' rules want them, and nowhere else. */
  update(): void {
    this.#intervals = [];
    const watchdog = this.#watchdog;
    watchdog.watch(this.#lines);
    for (const line of this.#lines) {
      const { minIntervalUs } = line.specification;
      const interval = minIntervalUs === undefined
        ? undefined
        : new MinInterval(line, minIntervalUs / 1000, this.#now);
      if (interval !== undefined) this.#intervals.push(interval);
      line.setGuard(composeGuard(line, watchdog, interval), interval);
    }
  }

  /** True if the guest is silent for longer than this line's rule allows. */
  isSilent({ specification: { safeAfterUs } }: AggregatorLine): boolean {
    return safeAfterUs !== undefined &&
      this.#watchdog.isSilentFor(safeAfterUs / 1000);
  }

  /** A guest may be silent from now on, without any request before. */
  awaitGuest(): void {
    if (this.#watchdog.isNeeded) this.#watchdog.heard();
  }

  /** The guest is gone: what was counted for it is forgotten. */
  guestGone(): void {
    this.#watchdog.rest();
    for (const interval of this.#intervals) interval.guestGone();
  }

  [Symbol.dispose](): void {
    this.#watchdog.rest();
  }
}

function composeGuard(
  line: AggregatorLine,
  watchdog: SilenceWatchdog,
  interval: MinInterval | undefined,
): ((operation: LineOperation, argument: number) => number) | undefined {
  const isWatched = watchdog.isNeeded;
  if (!isWatched && interval === undefined) return undefined;
  return (operation, argument) => {
    const isRequest = operation !== LineOperation.Deactivate ||
      argument === Departure.LineReleased;
    if (isWatched && isRequest) watchdog.heard();
    // What a force keeps back changes nothing.
    return interval === undefined || line.force !== undefined
      ? line.admit(operation, argument)
      : interval.submit(operation, argument);
  };
}

/** Least time between two changes of an output. */
class MinInterval implements GuardListener {
  readonly #line: AggregatorLine;
  readonly #intervalMs: number;
  readonly #now: Clock;
  /** Why a change is refused: a guest may have that happen at any rate. */
  readonly #reason: string;
  #earliestMs = -Infinity;
  /** Time of the change before the one that a slow chip works on. */
  #earlierMs = -Infinity;
  #isUnderWay = false;
  /** The value that was driven last; UNSPECIFIED: whatever the line has. */
  #value: number = UNSPECIFIED;

  constructor(line: AggregatorLine, intervalMs: number, now: Clock) {
    this.#line = line;
    this.#intervalMs = intervalMs;
    this.#now = now;
    this.#reason = `it changed less than ${intervalMs} ms ago`;
  }

  submit(operation: LineOperation, argument: number): number {
    const line = this.#line;
    const drives = operation === LineOperation.SetValue ||
      operation === LineOperation.Output;
    if (!drives || !this.#isChange(argument)) {
      return line.admit(operation, argument);
    }
    const now = this.#now();
    if (now < this.#earliestMs) return line.refuse(this.#reason);
    const result = line.admit(operation, argument);
    if (result !== FAILED) {
      this.#isUnderWay = result === PENDING;
      this.#earlierMs = this.#earliestMs;
      this.#earliestMs = now + this.#intervalMs;
      this.#value = argument;
    }
    return result;
  }

  /** A failed change does not count; the line may have what it had, or not. */
  answered(result: number): void {
    if (!this.#isUnderWay) return;
    this.#isUnderWay = false;
    if (result !== FAILED) return;
    this.#earliestMs = this.#earlierMs;
    this.#value = UNSPECIFIED;
  }

  get restMs(): number {
    return Math.max(0, this.#earliestMs - this.#now());
  }

  /** A rule drove the line, which needs its rest as well. */
  ruleDrove(): void {
    this.#earliestMs = this.#now() + this.#intervalMs;
    this.#earlierMs = this.#earliestMs;
    this.#value = UNSPECIFIED;
  }

  /** A rule may have changed the line without driving it. */
  guestGone(): void {
    if (this.#line.specification.onDisconnect !== "keep") this.ruleDrove();
  }

  #isChange(argument: number): boolean {
    if (argument === UNSPECIFIED) return false;
    const isOutput = this.#line.direction === Direction.Output;
    const present = isOutput && this.#value !== UNSPECIFIED
      ? this.#value
      : this.#line.source.peek();
    return argument !== present;
  }
}

/**
 * Puts lines into their safe state when their guest says nothing for a while:
 * it makes no request of any line of its aggregator.
 */
class SilenceWatchdog {
  readonly #loop: EventLoop;
  readonly #silent: (line: AggregatorLine) => void;
  readonly #now: Clock;
  #lines: { line: AggregatorLine; limitMs: number }[] = [];
  #heardMs = 0;
  /** The silence that has had its consequences already. */
  #passedMs = 0;
  #timer: Timer | undefined;

  constructor(
    loop: EventLoop,
    silent: (line: AggregatorLine) => void,
    now: Clock,
  ) {
    this.#loop = loop;
    this.#silent = silent;
    this.#now = now;
  }

  /** True if any line has such a rule. */
  get isNeeded(): boolean {
    return this.#lines.length > 0;
  }

  /** Returns true if a silence of this time has had its consequences. */
  isSilentFor(limitMs: number): boolean {
    return this.#passedMs >= limitMs;
  }

  watch(lines: readonly AggregatorLine[]): void {
    this.#lines = lines.flatMap((line) => {
      const { safeAfterUs } = line.specification;
      return safeAfterUs === undefined
        ? []
        : [{ line, limitMs: safeAfterUs / 1000 }];
    });
    const wasRunning = this.#timer !== undefined;
    this.rest();
    if (wasRunning && this.isNeeded) this.heard();
  }

  /** The guest made a request. */
  heard(): void {
    this.#heardMs = this.#now();
    // A timer that waits for the first limit looks itself how long ago it was.
    if (this.#timer !== undefined && this.#passedMs === 0) return;
    this.rest();
    this.#wait(0);
  }

  /** Ends the watch until the guest's next request. */
  rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#passedMs = 0;
  }

  /** Waits for the first limit beyond a silence of so long. */
  #wait(silenceMs: number): void {
    const limits = this.#lines.map(({ limitMs }) => limitMs)
      .filter((limitMs) => limitMs > this.#passedMs);
    if (limits.length === 0) return;
    const limitMs = Math.min(...limits);
    this.#timer = this.#loop.after(
      Math.max(0, limitMs - silenceMs),
      () => this.#look(limitMs),
    );
  }

  #look(limitMs: number): void {
    this.#timer = undefined;
    const silenceMs = this.#now() - this.#heardMs;
    if (silenceMs >= limitMs) {
      this.#passedMs = limitMs;
      for (const watched of this.#lines) {
        if (watched.limitMs !== limitMs) continue;
        watched.line.goSafe(() => this.#silent(watched.line));
      }
    }
    this.#wait(silenceMs);
  }
}
