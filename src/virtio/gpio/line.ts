/**
 * One line of a virtio-gpio device: what the guest made of it, and the sequence
 * of port operations that a request needs.
 *
 * A port may answer `PENDING`. The line is busy then, and goes on in
 * `complete`. The device keeps the line's later requests back meanwhile, which
 * is how requests to one line are processed in the order they were received.
 *
 * Decisions where the specification is silent, or where real guests differ:
 * * A line's direction is the host's truth: that of the port. A line that the
 *   host made an output is an output for the guest too: it can be driven, and
 *   its interrupt cannot be enabled.
 * * SET_VALUE on a line that is not an output is kept and used when it becomes one;
 *   the last level set stays known until SET_DIRECTION NONE.
 * * SET_DIRECTION OUT while the interrupt is enabled disables the interrupt, if
 *   the line becomes an output. The driver should have done so, but a guest
 *   that restarted without a visible reset cannot know, and an error would
 *   leave it without its line.
 * * SET_IRQ_TYPE on a line that the guest never made an input makes it one:
 *   Linux consumers with `interrupts-extended` never request the line as GPIO.
 * * SET_IRQ_TYPE with the type that is set already is OK and changes nothing. A
 *   change from one type to another without NONE works; a kept edge is
 *   discarded.
 * * SET_IRQ_TYPE NONE always succeeds: from the guest's view the interrupt is
 *   off, whatever becomes of the port.
 * * Level interrupts are served with both edges as hints: the level is read
 *   when a buffer arrives and at each edge, and never kept.
 * * What a guest made of its lines comes back (`restore`) after a lost
 *   connection or process that it did not notice, if the frontend kept it. A
 *   restore never drives a line: an output whose rule gave it its safe value
 *   stays there, and one that a rule made an input stays an input, until the
 *   driver's next SET_VALUE, which then makes it an output again. Edges that
 *   came while no one served the guest are lost, unless the port reports them
 *   before the restore (see `LineInterrupt.edge`); levels are looked at again.
 *
 * **Source**: virtio 1.3, section 5.18.6 "Device Operation".
 *
 * @module
 */
import { NO_HEAD } from "./deferred_requests.ts";
import type { EventBuffers } from "./event_buffers.ts";
import type { GpioCounters } from "./counters.ts";
import { IrqType, MessageType } from "./protocol.ts";
import {
  directionIn,
  type GuestState,
  irqTypeIn,
  isLatchedIn,
  levelIn,
  NO_STATE,
  packState,
} from "./guest_state.ts";
import { edgesFor } from "./irq_type.ts";
import { LineInterrupt } from "./line_interrupt.ts";
import { Step } from "./line_step.ts";
import {
  Departure,
  Direction,
  Edges,
  FAILED,
  LineOperation,
  type LinePort,
  PENDING,
  UNSPECIFIED,
} from "../../line/port.ts";

/** The guest's side of one line. */
export class GpioLine {
  /** Which line of its device it is. */
  readonly lineNumber: number;
  /** Head of the request that the port works on, or `NO_HEAD`. */
  requestHead = NO_HEAD;
  /** Head of the oldest request that waits behind it, or `NO_HEAD`. */
  firstWaiting = NO_HEAD;
  /** Head of the newest waiting request, or `NO_HEAD`. */
  lastWaiting = NO_HEAD;

  readonly #port: LinePort;
  readonly #interrupt: LineInterrupt;
  readonly #state: GuestState;
  #step: Step = Step.Idle;
  /** The level, or the interrupt type, that the step under way is about. */
  #argument = 0;
  /** The level the guest set last, or UNSPECIFIED. */
  #level = UNSPECIFIED;
  /** The edges that the port reports. */
  #edges: Edges = Edges.None;
  /** Direction that the guest, or its interrupt, gave the line. */
  #direction: Direction = Direction.None;
  /** Set if that is from before a restore, and the host undid it since. */
  #mustRetake = false;
  #wantsCheck = false;
  #isLeaving = false;
  /**
   * State that is yet to be restored: the port is busy, or its chip is away.
   */
  #toRestore = NO_STATE;
  /** Set if that should be tried once the port is idle. */
  #mayRestore = false;

  /** Makes the line as a new guest finds it. */
  constructor(
    lineNumber: number,
    port: LinePort,
    buffers: EventBuffers,
    counters: GpioCounters,
    state: GuestState,
  ) {
    this.lineNumber = lineNumber;
    this.#port = port;
    this.#interrupt = new LineInterrupt(lineNumber, buffers, counters);
    this.#state = state;
  }

  /** True while the port works on an operation; no request can begin then. */
  get isBusy(): boolean {
    return this.#step !== Step.Idle;
  }

  /** The interrupt type that the guest set. */
  get irqType(): number {
    return this.#interrupt.type;
  }

  /** True if an edge is kept until the interrupt is unmasked. */
  get isLatched(): boolean {
    return this.#interrupt.isLatched;
  }

  /**
   * Begins a request; the line is not busy.
   *
   * @returns The response's value if it was done at once, `FAILED`, or
   * `PENDING`: the result then comes out of `complete`.
   */
  execute(type: number, value: number): number {
    switch (type) {
      case MessageType.GetValue: {
        const result = this.#port.submit(LineOperation.GetValue, 0);
        return result === PENDING
          ? this.#wait(Step.Read, 0)
          : levelOrFailed(result);
      }
      case MessageType.SetValue:
        return this.#setValue(value);
      case MessageType.GetDirection:
        // Never NONE: Linux takes it as an error and drops the whole chip.
        return this.#port.direction === Direction.Output
          ? Direction.Output
          : Direction.Input;
      case MessageType.SetDirection:
        return this.#setDirection(value);
      case MessageType.SetIrqType:
        return this.#setIrqType(value);
      default:
        return FAILED;
    }
  }

  /**
   * Takes the result of the operation that was pending.
   *
   * @returns The result of the request it was for (meaningless if it was for
   * none), or `PENDING` when the request needs another operation.
   */
  complete(result: number): number {
    const step = this.#step;
    this.#step = Step.Idle;
    if (this.#isLeaving) {
      this.#isLeaving = false;
      this.#leave();
      return FAILED;
    }
    switch (step) {
      case Step.Read:
        return levelOrFailed(result);
      case Step.Drive:
        return this.#driven(result);
      case Step.Input:
        return this.#madeInput(result);
      case Step.Output:
        return this.#madeOutput(result);
      case Step.IrqInput:
        if (this.#madeInput(result) === FAILED) return FAILED;
        return this.#askForEdges(this.#argument);
      case Step.IrqEdges:
        return this.#edgesAskedFor(result);
      case Step.LevelCheck:
        this.#interrupt.judge(result);
        return 0;
      case Step.StaleCheck:
      case Step.IrqOff:
        return 0;
      case Step.RestoreInput:
        return this.#restoredInput(result);
      case Step.RestoreEdges:
        return this.#restoredEdges(result);
      default:
        return result < 0 ? FAILED : 0;
    }
  }

  #wait(step: Step, argument: number): number {
    this.#step = step;
    this.#argument = argument;
    return PENDING;
  }

  #setValue(value: number): number {
    if (value > 1) return FAILED;
    if (this.#port.direction !== Direction.Output) return this.#preset(value);
    const result = this.#port.submit(LineOperation.SetValue, value);
    this.#argument = value;
    return result === PENDING
      ? this.#wait(Step.Drive, value)
      : this.#driven(result);
  }

  /** SET_VALUE on a line that is not an output. */
  #preset(value: number): number {
    this.#level = value;
    this.save();
    return this.#mustRetake ? this.#makeOutput() : 0;
  }

  #driven(result: number): number {
    if (result < 0) return FAILED;
    this.#level = this.#argument;
    return 0;
  }

  #setDirection(value: number): number {
    if (value === Direction.Input) {
      // An input that reports edges stays as it is, so that none gets lost.
      if (this.#direction === Direction.Input && this.#edges !== Edges.None) {
        return 0;
      }
      const result = this.#port.submit(LineOperation.Input, 0);
      return result === PENDING
        ? this.#wait(Step.Input, 0)
        : this.#madeInput(result);
    }
    if (value === Direction.Output) return this.#makeOutput();
    if (value !== Direction.None) return FAILED;
    this.#discardState();
    this.#interrupt.flush();
    const result = this.#port.submit(
      LineOperation.Deactivate,
      Departure.LineReleased,
    );
    if (result === PENDING) return this.#wait(Step.Deactivate, 0);
    return result < 0 ? FAILED : 0;
  }

  #madeInput(result: number): number {
    if (result < 0) return FAILED;
    this.#direction = Direction.Input;
    this.#mustRetake = false;
    this.save();
    return 0;
  }

  #makeOutput(): number {
    const result = this.#port.submit(LineOperation.Output, this.#level);
    return result === PENDING
      ? this.#wait(Step.Output, 0)
      : this.#madeOutput(result);
  }

  #madeOutput(result: number): number {
    if (result < 0) return FAILED;
    this.#toRestore = NO_STATE;
    this.#direction = Direction.Output;
    this.#mustRetake = false;
    this.#edges = Edges.None;
    if (this.#interrupt.type !== IrqType.None) {
      this.#disableIrq();
      this.#interrupt.flush();
    }
    this.save();
    return 0;
  }

  #setIrqType(type: number): number {
    if (edgesFor(type) === undefined) return FAILED;
    if (type === IrqType.None) return this.#switchOffIrq();
    if (type === this.#interrupt.type) return 0;
    if (this.#port.direction === Direction.Output) return FAILED;
    if (this.#direction === Direction.Input) return this.#askForEdges(type);
    const result = this.#port.submit(LineOperation.Input, 0);
    if (result === PENDING) return this.#wait(Step.IrqInput, type);
    if (this.#madeInput(result) === FAILED) return FAILED;
    return this.#askForEdges(type);
  }

  #askForEdges(type: number): number {
    this.#argument = type;
    const edges = edgesFor(type)!;
    if (edges === this.#edges) return this.#edgesAskedFor(0);
    const result = this.#port.submit(LineOperation.SetEdges, edges);
    return result === PENDING
      ? this.#wait(Step.IrqEdges, type)
      : this.#edgesAskedFor(result);
  }

  #edgesAskedFor(result: number): number {
    if (result < 0) return FAILED;
    this.#toRestore = NO_STATE;
    this.#edges = edgesFor(this.#argument)!;
    const interrupt = this.#interrupt;
    interrupt.enable(this.#argument);
    this.save();
    // A buffer that came before the interrupt was enabled has not been looked
    // at. That is done once the request is answered.
    this.#wantsCheck = interrupt.isLevel && interrupt.isUnmasked;
    return 0;
  }

  #switchOffIrq(): number {
    // The driver must see its buffer come back before the answer: Linux warns
    // of a buffer that is still queued when the interrupt is enabled again.
    this.#toRestore = NO_STATE;
    this.#disableIrq();
    this.#interrupt.flush();
    if (this.#edges === Edges.None) return 0;
    this.#edges = Edges.None;
    const result = this.#port.submit(LineOperation.SetEdges, Edges.None);
    return result === PENDING ? this.#wait(Step.IrqOff, 0) : 0;
  }

  #disableIrq(): void {
    this.#wantsCheck = false;
    this.#interrupt.disable();
    this.save();
    this.#interrupt.returnBuffer();
  }

  /** Discards all that the guest set; the port is not notified. */
  #discardState(): void {
    this.#toRestore = NO_STATE;
    this.#interrupt.forgetMissed();
    this.#level = UNSPECIFIED;
    this.#direction = Direction.None;
    this.#mustRetake = false;
    this.#edges = Edges.None;
    this.#disableIrq();
  }

  /** Writes down what the guest made of the line, where that is kept. */
  save(): void {
    // State that could not be restored yet is still the guest's.
    if (this.#toRestore !== NO_STATE) return;
    const isOutput = this.#port.direction === Direction.Output;
    this.#state.store(
      this.lineNumber,
      packState(
        this.#interrupt.type,
        this.#interrupt.isLatched,
        this.#direction,
        isOutput ? UNSPECIFIED : this.#level,
      ),
    );
  }

  /**
   * Takes up what was kept: the guest never noticed that it was not served. Its
   * interrupt is enabled again, and the line is an input again if it was one.
   * Nothing is ever driven. What the port refuses is tried again when its chip
   * is back, unless the guest has made something else of the line by then.
   */
  restore(word: number): void {
    this.#toRestore = word;
    this.#mayRestore = true;
    this.settle();
  }

  #restoreNow(): void {
    const word = this.#toRestore;
    if (directionIn(word) !== Direction.Input) {
      this.#direction = directionIn(word);
      this.#mustRetake = this.#direction === Direction.Output &&
        this.#port.direction !== Direction.Output;
      this.#finishRestore();
      return;
    }
    const result = this.#port.submit(LineOperation.Input, 0);
    if (result === PENDING) this.#wait(Step.RestoreInput, 0);
    else this.#restoredInput(result);
  }

  #restoredInput(result: number): number {
    if (result < 0) return FAILED;
    this.#direction = Direction.Input;
    const edges = edgesFor(irqTypeIn(this.#toRestore))!;
    if (edges === Edges.None) return this.#finishRestore();
    const asked = this.#port.submit(LineOperation.SetEdges, edges);
    return asked === PENDING
      ? this.#wait(Step.RestoreEdges, 0)
      : this.#restoredEdges(asked);
  }

  #restoredEdges(result: number): number {
    if (result < 0) return FAILED;
    const word = this.#toRestore;
    this.#edges = edgesFor(irqTypeIn(word))!;
    this.#interrupt.restore(irqTypeIn(word), isLatchedIn(word));
    return this.#finishRestore();
  }

  #finishRestore(): number {
    // Newer where the guest has set one before the chip came back.
    if (this.#level === UNSPECIFIED) this.#level = levelIn(this.#toRestore);
    this.#toRestore = NO_STATE;
    this.#interrupt.forgetMissed();
    this.save();
    // The buffer may have come first.
    if (this.#interrupt.isUnmasked) this.unmasked();
    return 0;
  }

  /** The guest is gone; its queues have been stopped. */
  reset(): void {
    this.#discardState();
    if (this.#step !== Step.Idle) this.#isLeaving = true;
    else this.#leave();
  }

  #leave(): void {
    const result = this.#port.submit(
      LineOperation.Deactivate,
      Departure.GuestGone,
    );
    if (result === PENDING) this.#wait(Step.Leave, 0);
  }

  /** Forgets the requests of a queue that was stopped. */
  forgetRequests(): void {
    this.requestHead = NO_HEAD;
    this.firstWaiting = NO_HEAD;
    this.lastWaiting = NO_HEAD;
  }

  /** The line's buffer arrived and is held: its interrupt is unmasked. */
  unmasked(): void {
    if (this.#interrupt.deliverLatched()) {
      // A process that is killed in between delivers it twice: better than never.
      this.#interrupt.publish();
      this.save();
    } else if (this.#interrupt.isLevel) {
      // The queue was stopped and started again while the level was read.
      if (this.#step === Step.LevelCheck) this.#step = Step.StaleCheck;
      this.#checkLevel();
    }
  }

  /** The port is back: its level could not be read for a while. */
  restored(): void {
    if (this.#toRestore !== NO_STATE) {
      this.#mayRestore = true;
      this.settle();
    } else if (this.#interrupt.isLevel) this.#checkLevel();
  }

  /** The port reports a change. */
  edge(level: number): void {
    if (this.#interrupt.isLevel) this.#checkLevel();
    else if (this.#interrupt.edge(level)) this.save();
  }

  /** Does now what had to wait for the port or an answer. */
  settle(): void {
    if (this.#mayRestore && this.#step === Step.Idle) {
      this.#mayRestore = false;
      if (this.#toRestore !== NO_STATE) this.#restoreNow();
    }
    if (this.#wantsCheck && this.#step === Step.Idle) this.#checkLevel();
  }

  /** True if `settle` has something to do. */
  get wantsCheck(): boolean {
    return this.#wantsCheck;
  }

  #checkLevel(): void {
    // Masked: the level is looked at when the buffer comes.
    this.#wantsCheck = this.#interrupt.isUnmasked;
    if (!this.#wantsCheck || this.#step !== Step.Idle) return;
    this.#wantsCheck = false;
    const result = this.#port.submit(LineOperation.GetValue, 0);
    if (result === PENDING) this.#wait(Step.LevelCheck, 0);
    else this.#interrupt.judge(result);
  }
}

function levelOrFailed(result: number): number {
  if (result < 0) return FAILED;
  return result === 0 ? 0 : 1;
}
