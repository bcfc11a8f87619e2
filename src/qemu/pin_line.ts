/**
 * The aggregator's line behind a pin: what the guest does to the pin, in order,
 * whether the line takes its time or not.
 *
 * @module
 */
import {
  Departure,
  Direction,
  Edges,
  FAILED,
  LineOperation,
  type LinePort,
  PENDING,
} from "../virtio/line_port.ts";

/** Who hears of the line. */
export interface PinLineListener {
  /** The line has this level, for the guest to see. */
  level(lineNumber: number, level: number): void;
  /** The line did not take what the guest did: a rule, or a failing chip. */
  refused(lineNumber: number): void;
}

/**
 * Levels that wait for a line that is slower than its guest. When there are as
 * many, the next one takes the place of the last.
 */
const MAX_QUEUED = 65_536;

interface Step {
  readonly operation: LineOperation;
  readonly argument: number;
}

/** One line with the operations that wait for it. */
export class PinLine {
  readonly lineNumber: number;
  readonly port: LinePort;
  readonly #listener: PinLineListener;
  #queue: Step[] = [];
  #head = 0;
  /** The operation under way. */
  #pending: LineOperation | undefined;
  /** The last thing that was asked of the line is to be an output. */
  #isDriven = false;
  #isListening = false;
  /** What the guest drives; -1: nothing. */
  #wanted = -1;
  /** Levels that were forgotten because the line was too slow. */
  overflows = 0;

  /** Makes the line; `completed` and `edge` are to be passed on to it. */
  constructor(
    lineNumber: number,
    port: LinePort,
    listener: PinLineListener,
  ) {
    this.lineNumber = lineNumber;
    this.port = port;
    this.#listener = listener;
  }

  /** The guest drives its pin to `level`. */
  drive(level: number): void {
    this.#wanted = level;
    const operation = this.#isDriven
      ? LineOperation.SetValue
      : LineOperation.Output;
    this.#isDriven = true;
    this.#isListening = false;
    this.#enqueue(operation, level);
  }

  /** The guest made its pin an input again. */
  input(): void {
    this.#isDriven = false;
    this.#wanted = -1;
    this.#enqueue(LineOperation.Input, 0);
    this.listen();
  }

  /**
   * The guest's pin is an input, as it begins: the line stays what it is, and
   * its level is told, now and at each change.
   */
  listen(): void {
    this.#isListening = true;
    // Behind this, the direction is what a rule that is at work makes it.
    this.#enqueue(LineOperation.GetValue, 0);
    this.#enqueue(LineOperation.SetEdges, Edges.Both);
    this.#enqueue(LineOperation.GetValue, 0);
  }

  /** The guest lets go of a line that is an output whatever it does. */
  release(): void {
    this.#isDriven = false;
    this.#wanted = -1;
    this.#isListening = false;
    this.#enqueue(LineOperation.Deactivate, Departure.LineReleased);
  }

  /** The guest is gone: what it asked for last is not done any more. */
  guestGone(): void {
    this.#queue = [];
    this.#head = 0;
    this.#isDriven = false;
    this.#isListening = false;
    this.#wanted = -1;
    this.#enqueue(LineOperation.Deactivate, Departure.GuestGone);
  }

  /** The line is back, after its chip was away: the guest knows nothing of it. */
  restored(): void {
    if (this.#wanted !== -1) {
      this.#isDriven = false;
      this.drive(this.#wanted);
    } else if (this.#isListening) this.listen();
  }

  /** The operation that was under way is done. */
  completed(result: number): void {
    const operation = this.#pending;
    if (operation === undefined) return;
    this.#pending = undefined;
    this.#finish(operation, result);
    while (this.#pending === undefined && this.#head < this.#queue.length) {
      this.#run(this.#queue[this.#head++]!);
    }
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
  }

  /** The line changed. */
  edge(level: number): void {
    if (this.#isListening) this.#listener.level(this.lineNumber, level);
  }

  get #isBusy(): boolean {
    return this.#pending !== undefined;
  }

  #enqueue(operation: LineOperation, argument: number): void {
    const step = { operation, argument };
    if (!this.#isBusy) return this.#run(step);
    if (
      operation === LineOperation.SetValue &&
      this.#queue.length - this.#head >= MAX_QUEUED &&
      this.#queue.at(-1)!.operation === LineOperation.SetValue
    ) {
      this.#queue[this.#queue.length - 1] = step;
      this.overflows++;
      return;
    }
    this.#queue.push(step);
  }

  #run({ operation, argument }: Step): void {
    // Asking an output for edges could make it an input.
    if (
      operation === LineOperation.SetEdges &&
      this.port.direction === Direction.Output
    ) return;
    const result = this.port.submit(operation, argument);
    if (result === PENDING) this.#pending = operation;
    else this.#finish(operation, result);
  }

  #finish(operation: LineOperation, result: number): void {
    if (result === FAILED) {
      // The line is not what it should be: the next level makes it one again.
      this.#isDriven = false;
      this.#listener.refused(this.lineNumber);
    } else if (operation === LineOperation.GetValue && this.#isListening) {
      this.#listener.level(this.lineNumber, result);
    }
  }
}
