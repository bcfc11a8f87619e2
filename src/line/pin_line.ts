/**
 * The aggregator's line behind a pin: what the guest does to the pin, in order,
 * whether the line takes its time or not.
 *
 * @module
 */
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import {
  Departure,
  Direction,
  Edges,
  FAILED,
  LineOperation,
  type LinePort,
  PENDING,
} from "./port.ts";

/**
 * Request that a guest makes of a line by what it does to the pin. As with
 * virtio-gpio, a pin that becomes an output and has a level is two requests.
 */
export type PinRequest = "set_direction" | "set_value";

/** Receiver of a line's changes. */
interface PinLineListener {
  /** The line has this level, for the guest to see. */
  level(lineNumber: number, level: number): void;
  /**
   * The line did what the guest asked at `since`, or did not: a rule, a failing
   * chip.
   */
  answered(
    lineNumber: number,
    request: PinRequest,
    isOk: boolean,
    since: number,
  ): void;
  /** A level that the guest drove was given up before the line took it. */
  dropped(lineNumber: number): void;
}

/** Retries of a line that did not take what its guest drives. */
export interface PinRetry {
  readonly loop: EventLoop;
  /**
   * Returns the time after a failure until `level` is driven again; undefined:
   * not at all.
   * **Units**: milliseconds.
   */
  delayMs(level: number): number | undefined;
}

/**
 * Operations that wait for a line that is slower than its guest. When there are
 * as many, the next level takes the place of the last one, and a change of
 * direction that of everything.
 */
const MAX_QUEUED = 65_536;
/** Steps that are done and still kept at the head of the queue, at most. */
const COMPACT_AT = 1024;

interface Step {
  readonly operation: LineOperation;
  readonly argument: number;
  /** Requests of the guest that this does; none: it is our own doing. */
  readonly requests: readonly PinRequest[];
  /** When the guest was seen to ask. */
  readonly since: number;
}

const NOTHING: readonly PinRequest[] = [];
const TURN: readonly PinRequest[] = ["set_direction"];
const SET: readonly PinRequest[] = ["set_value"];
const TURN_AND_SET: readonly PinRequest[] = ["set_direction", "set_value"];

/** One line with the operations that wait for it. */
export class PinLine {
  readonly lineNumber: number;
  readonly port: LinePort;
  readonly #listener: PinLineListener;
  readonly #retry: PinRetry | undefined;
  /** Waits to drive again what the line did not take. */
  #retrying: Timer | undefined;
  #queue: Step[] = [];
  #head = 0;
  /** The operation under way. */
  #pending: Step | undefined;
  /** The last thing that was asked of the line is to be an output. */
  #isDriven = false;
  #isListening = false;
  /** Level that the guest drives; -1: none. */
  #wanted = -1;

  /**
   * Makes the line; `completed` and `edge` are to be passed on to it. Without
   * `retry`, what fails is not tried again.
   */
  constructor(
    lineNumber: number,
    port: LinePort,
    listener: PinLineListener,
    retry?: PinRetry,
  ) {
    this.lineNumber = lineNumber;
    this.port = port;
    this.#listener = listener;
    this.#retry = retry;
  }

  /**
   * The guest drives its pin to `level`.
   *
   * @param since When it was seen to.
   * @param isTurn Whether it has made the pin an output for that.
   */
  drive(level: number, since: number, isTurn: boolean): void {
    this.#drive(level, isTurn ? TURN_AND_SET : SET, since);
  }

  /** The guest made its pin an input again; that was seen at `since`. */
  input(since: number): void {
    this.#isDriven = false;
    this.#wanted = -1;
    this.#enqueue(LineOperation.Input, 0, TURN, since);
    this.listen();
  }

  /**
   * The guest's pin is an input, as it begins: the line stays what it is, and
   * its level is reported, now and at each change.
   */
  listen(): void {
    this.#isListening = true;
    // What is the last thing to be done need not be done twice.
    if (
      this.#isFull && this.#queue.at(-1)!.operation === LineOperation.GetValue
    ) return;
    // Behind this, the direction is what a rule that is at work makes it.
    this.#enqueue(LineOperation.GetValue, 0);
    this.#enqueue(LineOperation.SetEdges, Edges.Both);
    this.#enqueue(LineOperation.GetValue, 0);
  }

  /**
   * The guest lets go of a line that is an output whatever it does; that was
   * seen at `since`.
   */
  release(since: number): void {
    this.#isDriven = false;
    this.#wanted = -1;
    this.#isListening = false;
    this.#enqueue(
      LineOperation.Deactivate,
      Departure.LineReleased,
      TURN,
      since,
    );
  }

  /** The guest is gone: what it asked for last is not done any more. */
  guestGone(): void {
    this.#dropQueue();
    this.#isDriven = false;
    this.#isListening = false;
    this.#wanted = -1;
    this.#enqueue(LineOperation.Deactivate, Departure.GuestGone);
  }

  /** The line is back, after its chip was away: the guest knows nothing of it. */
  restored(): void {
    if (this.#wanted !== -1) {
      this.#isDriven = false;
      this.#drive(this.#wanted, NOTHING, 0);
    } else if (this.#isListening) this.listen();
  }

  /** The operation that was under way is done. */
  completed(result: number): void {
    const step = this.#pending;
    if (step === undefined) return;
    this.#pending = undefined;
    this.#finish(step, result);
    while (this.#pending === undefined && this.#head < this.#queue.length) {
      this.#run(this.#queue[this.#head++]!);
    }
    // A line that is never done, but always busy, must not keep all it did.
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT) {
      this.#queue = this.#queue.slice(this.#head);
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

  get #isFull(): boolean {
    return this.#queue.length - this.#head >= MAX_QUEUED;
  }

  #drive(level: number, requests: readonly PinRequest[], since: number): void {
    this.#wanted = level;
    const operation = this.#isDriven
      ? LineOperation.SetValue
      : LineOperation.Output;
    this.#isDriven = true;
    this.#isListening = false;
    this.#enqueue(operation, level, requests, since);
  }

  #enqueue(
    operation: LineOperation,
    argument: number,
    requests = NOTHING,
    since = 0,
  ): void {
    if (this.#retrying !== undefined) this.#endRetry();
    const step = { operation, argument, requests, since };
    if (!this.#isBusy) return this.#run(step);
    if (this.#isFull) this.#makeWayFor(operation);
    this.#queue.push(step);
  }

  /** Drops what `operation` does over again. */
  #makeWayFor(operation: LineOperation): void {
    switch (operation) {
      case LineOperation.SetValue:
        if (this.#queue.at(-1)!.operation !== operation) return;
        return this.#giveUp(this.#queue.pop()!);
      case LineOperation.Output:
      case LineOperation.Input:
      case LineOperation.Deactivate:
        this.#dropQueue();
    }
  }

  #dropQueue(): void {
    if (this.#queue.length === 0) return;
    const dropped = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    for (const step of dropped) this.#giveUp(step);
  }

  /** Gives up what the guest asked for by this. */
  #giveUp(step: Step): void {
    this.#answer(step, false);
    if (step.requests.includes("set_value")) {
      this.#listener.dropped(this.lineNumber);
    }
  }

  #run(step: Step): void {
    const { operation, argument } = step;
    // Asking an output for edges could make it an input.
    if (
      operation === LineOperation.SetEdges &&
      this.port.direction === Direction.Output
    ) return;
    const result = this.port.submit(operation, argument);
    if (result === PENDING) this.#pending = step;
    else this.#finish(step, result);
  }

  #finish(step: Step, result: number): void {
    this.#answer(step, result !== FAILED);
    if (result === FAILED) {
      // The line is not what it should be: the next level makes it one again.
      this.#isDriven = false;
      this.#driveLater();
    } else if (
      step.operation === LineOperation.GetValue && this.#isListening
    ) {
      this.#listener.level(this.lineNumber, result);
    }
  }

  /**
   * The guest holds its pin at a level that the line did not take, and does
   * not know: drives that again after a while, unless something comes first.
   */
  #driveLater(): void {
    const isLast = this.#head === this.#queue.length;
    if (this.#wanted === -1 || !isLast) return;
    const delayMs = this.#retry?.delayMs(this.#wanted);
    if (delayMs === undefined) return;
    this.#endRetry();
    this.#retrying = this.#retry!.loop.after(delayMs, () => this.restored());
  }

  #endRetry(): void {
    this.#retrying?.[Symbol.dispose]();
    this.#retrying = undefined;
  }

  #answer({ requests, since }: Step, isOk: boolean): void {
    for (const request of requests) {
      this.#listener.answered(this.lineNumber, request, isOk, since);
    }
  }
}
