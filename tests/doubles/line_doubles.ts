/**
 * Sources, listeners and a loop for tests of lines: all by hand, no kernel.
 *
 * @module
 */
import { AggregatorLine } from "../../src/aggregator/aggregator_line.ts";
import { refusalText } from "../../src/aggregator/rules/kernel_refusals.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../../src/aggregator/line_source.ts";
import { parseLineSpec } from "../../src/config/spec/line_spec.ts";
import type {
  EventLoop,
  Timer,
  TimeShare,
} from "../../src/reactor/event_loop.ts";
import {
  Direction,
  Edges,
  FAILED,
  PENDING,
  UNSPECIFIED,
} from "../../src/line/port.ts";

/** Remote I/O error: what an I2C chip that does not answer looks like. */
const EREMOTEIO = 121;

/** The name of an operation. */
export function operationName(operation: SourceOperation): string {
  return Object.entries(SourceOperation).find(([, code]) =>
    code === operation
  )![0];
}

/** A source that does what it is asked, at once or when it is told to. */
export class SourceDouble implements LineSource {
  readonly description = "double";
  readonly name = "";
  direction: Direction = Direction.Input;
  /** Value of the line. */
  value = 0;
  edges: Edges = Edges.None;
  isAbsent = false;
  /**
   * State that an earlier process left: set before anything stands before it.
   */
  isKept = false;
  keptEdges: Edges = Edges.None;
  /** Answers later, by `answer`. */
  isSlow = false;
  /** So many changes are refused from now on, as by a bus without an answer. */
  refusals = 0;
  /** Error number of what is refused. */
  refusalErrno = EREMOTEIO;
  /** It cannot be read. */
  isUnreadable = false;
  errno = 0;
  isUsedAsInterrupt = false;
  readonly log: string[] = [];
  listener: SourceListener | undefined;
  #pending: { operation: SourceOperation; argument: number } | undefined;

  attach(listener: SourceListener): void {
    this.listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    this.log.push(`${operationName(operation)} ${argument}`);
    if (this.isAbsent) return FAILED;
    if (!this.isSlow) return this.#do(operation, argument);
    if (this.#pending !== undefined) throw new Error("two operations at once");
    this.#pending = { operation, argument };
    return PENDING;
  }

  /** Does what was asked while it was slow. */
  answer(): void {
    const { operation, argument } = this.#pending!;
    this.#pending = undefined;
    this.listener!.completed(this.#do(operation, argument));
  }

  /** The wire changes, as if from outside. */
  change(value: 0 | 1): void {
    this.value = value;
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.edges & edge) !== 0) this.listener?.edge(value);
  }

  peek(): number {
    return this.isAbsent || this.isUnreadable ? FAILED : this.value;
  }

  remember(operation: SourceOperation, argument: number): void {
    this.log.push(`remember ${operationName(operation)} ${argument}`);
  }

  /** Returns the log since the last call. */
  taken(): string[] {
    return this.log.splice(0);
  }

  [Symbol.dispose](): void {
    this.log.push("dispose");
  }

  #do(operation: SourceOperation, argument: number): number {
    if (this.isAbsent) return FAILED;
    const isRead = operation === SourceOperation.GetValue;
    if (isRead ? this.isUnreadable : this.refusals > 0) {
      if (!isRead) this.refusals--;
      this.errno = this.refusalErrno;
      return FAILED;
    }
    switch (operation) {
      case SourceOperation.GetValue:
        return this.value;
      case SourceOperation.SetValue:
        if (this.direction !== Direction.Output) return FAILED;
        this.value = argument;
        return 0;
      case SourceOperation.Output:
        this.direction = Direction.Output;
        this.edges = Edges.None;
        if (argument !== UNSPECIFIED) this.value = argument;
        return 0;
      case SourceOperation.Input:
        this.direction = Direction.Input;
        return 0;
      case SourceOperation.SetEdges:
        if (this.direction === Direction.Output) return FAILED;
        this.edges = argument as Edges;
        return 0;
      case SourceOperation.Deactivate:
        this.edges = Edges.None;
        return 0;
      case SourceOperation.Release:
        this.direction = Direction.Input;
        this.edges = Edges.None;
        return 0;
    }
  }
}

/** A line over a source, and what its device and its reporter hear. */
export class LineRig {
  readonly line: AggregatorLine;
  readonly heard: string[] = [];
  readonly reports: string[] = [];

  /** Makes the line `name` with the rules of a SPEC's tail (`,safe=1`). */
  constructor(
    name: string,
    rules: string,
    source: LineSource,
    loop: EventLoop = new LoopDouble(),
  ) {
    const [specification] = parseLineSpec(`gpiochip0/0${rules}`);
    this.line = new AggregatorLine(name, specification!, source, loop);
    this.line.attach({
      completed: (_, result) => this.heard.push(`done ${result}`),
      edge: (_, value) => this.heard.push(`edge ${value}`),
      restored: () => this.heard.push("restored"),
    }, 0);
    this.line.reports.reporter = {
      refused: (line, reason) => this.reports.push(`${line.name}: ${reason}`),
      kernelRefused: (line, operation, errno) =>
        this.reports.push(
          `${line.name}: ${
            refusalText(operation, errno, line.source, line.specification)
          }`,
        ),
      presence: (line, isPresent) =>
        this.reports.push(`${line.name} ${isPresent ? "came" : "went"}`),
      rulePending: (line, rule, reason) =>
        this.reports.push(`${line.name} lacks ${rule}: ${reason}`),
      ruleHolds: (line, rule, effort) =>
        this.reports.push(`${line.name} has ${rule} after ${effort}`),
    };
  }

  /** Returns what was reported since the last call. */
  taken(): string[] {
    return this.heard.splice(0);
  }
}

/** A loop whose time stands still until it is moved; it watches no fds. */
export class LoopDouble implements EventLoop {
  now = 0;
  #timers: { at: number; call: () => void }[] = [];

  /** Timers that are set. */
  get size(): number {
    return this.#timers.length;
  }

  watch(): never {
    throw new Error("This loop watches no fds");
  }

  after(ms: number, onElapsed: () => void): Timer {
    const timer = { at: this.now + ms, call: onElapsed };
    this.#timers.push(timer);
    return {
      [Symbol.dispose]: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  defer(task: () => void): void {
    this.after(0, task);
  }

  /** A share that never runs out. */
  share(): TimeShare {
    return {
      isSpent: false,
      take: () => true,
      defer: (task) => this.defer(task),
    };
  }

  onMemoryFault(): never {
    throw new Error("This loop guards no memory");
  }

  /** Lets time pass. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end)
        .sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.now = Math.max(this.now, due.at);
      due.call();
    }
    this.now = end;
  }
}
