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
 * * SET_VALUE on a line that is no output is kept and used when it becomes one;
 *   the last level set stays known until SET_DIRECTION NONE.
 * * SET_DIRECTION OUT while the interrupt is enabled disables the interrupt, if
 *   the line becomes an output. The driver should have done so, but a guest
 *   that restarted without a visible reset cannot know, and an error would
 *   leave it without its line.
 * * SET_IRQ_TYPE on a line that the guest never made an input makes it one:
 *   Linux consumers with `interrupts-extended` never request the line as GPIO.
 * * SET_IRQ_TYPE with the type that is set already is OK and changes nothing. A
 *   change from one type to another without NONE works; a kept edge is
 * discarded. * SET_IRQ_TYPE NONE always succeeds: from the guest's view the
 *   interrupt is off, whatever becomes of the port.
 * * Level interrupts are served with both edges as hints: the level is read
 *   when a buffer arrives and at each edge, and never kept.
 * * A level that cannot be read (the chip is gone) is no interrupt: the buffer
 *   stays held, since giving it back would make Linux send it again at once.
 * * What a guest made of its lines comes back (`restore`) after a lost
 *   connection or process that it did not notice, if the frontend kept it. A
 *   restore never drives a line: an output whose rule gave it its safe value
 *   stays there, and one that a rule made an input stays an input, until the
 *   driver's next SET_VALUE, which then makes it an output again. Edges that
 *   came while no one served the guest are lost, unless the port reports them
 *   before the restore (see `edge`); levels are looked at again.
 *
 * **Source**: virtio 1.3, section 5.18.6 "Device Operation".
 *
 * @module
 */
import { NO_HEAD } from "./deferred_requests.ts";
import type { EventBuffers } from "./event_buffers.ts";
import { EventCount, type GpioCounters } from "./counters.ts";
import { EventStatus, IrqType, MessageType } from "./protocol.ts";
import {
  directionIn,
  type GuestState,
  irqTypeIn,
  isLatchedIn,
  levelIn,
  NO_STATE,
  packState,
} from "./guest_state.ts";
import { edgesFor, isLevelType } from "./irq_type.ts";
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

/** Purpose of the operation that the port works on. */
const Step = {
  Idle: 0,
  Read: 1,
  Drive: 2,
  Input: 3,
  Output: 4,
  Deactivate: 5,
  /** First half of SET_IRQ_TYPE: the line becomes an input. */
  IrqInput: 6,
  /** Second half of SET_IRQ_TYPE: its edges are asked for. */
  IrqEdges: 7,
  IrqOff: 8,
  /** The level is read for a level interrupt, not for a request. */
  LevelCheck: 9,
  /** The same, but the buffer it was for is gone: the level is read again. */
  StaleCheck: 10,
  /** The guest is gone. */
  Leave: 11,
  /** A guest that never noticed is back: the line becomes an input again. */
  RestoreInput: 12,
  /** The same: the edges of its interrupt are asked for again. */
  RestoreEdges: 13,
} as const;
type Step = typeof Step[keyof typeof Step];

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
  readonly #buffers: EventBuffers;
  readonly #counters: GpioCounters;
  readonly #state: GuestState;
  #step: Step = Step.Idle;
  /** The level, or the interrupt type, that the step under way is about. */
  #argument = 0;
  /** The level the guest set last, or UNSPECIFIED. */
  #level = UNSPECIFIED;
  #irqType: number = IrqType.None;
  /** The edges that the port reports. */
  #edges: Edges = Edges.None;
  /** Set if the guest, or its interrupt, made the line an input. */
  #isInput = false;
  /** Set if the guest made the line an output. */
  #isOutput = false;
  /** Set if that is from before a restore, and the host undid it since. */
  #mustRetake = false;
  #isLatched = false;
  /** Edges reported while no interrupt was enabled. */
  #missed: number = Edges.None;
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
    this.#buffers = buffers;
    this.#counters = counters;
    this.#state = state;
  }

  /** True while the port works on an operation; no request can begin then. */
  get isBusy(): boolean {
    return this.#step !== Step.Idle;
  }

  /** The interrupt type that the guest set. */
  get irqType(): number {
    return this.#irqType;
  }

  /** True if an edge is kept until the interrupt is unmasked. */
  get isLatched(): boolean {
    return this.#isLatched;
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
        this.#judge(result);
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

  /** SET_VALUE on a line that is no output. */
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
    this.#toRestore = NO_STATE;
    if (value === Direction.Input) {
      // An input that reports edges stays as it is, so that none gets lost.
      if (this.#isInput && this.#edges !== Edges.None) return 0;
      const result = this.#port.submit(LineOperation.Input, 0);
      return result === PENDING
        ? this.#wait(Step.Input, 0)
        : this.#madeInput(result);
    }
    if (value === Direction.Output) return this.#makeOutput();
    if (value !== Direction.None) return FAILED;
    this.#discardState();
    this.#buffers.flush();
    const result = this.#port.submit(
      LineOperation.Deactivate,
      Departure.LineReleased,
    );
    if (result === PENDING) return this.#wait(Step.Deactivate, 0);
    return result < 0 ? FAILED : 0;
  }

  #madeInput(result: number): number {
    if (result < 0) return FAILED;
    this.#isInput = true;
    this.#isOutput = false;
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
    this.#isInput = false;
    this.#isOutput = true;
    this.#mustRetake = false;
    this.#edges = Edges.None;
    if (this.#irqType !== IrqType.None) {
      this.#disableIrq();
      this.#buffers.flush();
    }
    this.save();
    return 0;
  }

  #setIrqType(type: number): number {
    if (edgesFor(type) === undefined) return FAILED;
    this.#toRestore = NO_STATE;
    if (type === IrqType.None) return this.#switchOffIrq();
    if (type === this.#irqType) return 0;
    if (this.#port.direction === Direction.Output) return FAILED;
    if (this.#isInput) return this.#askForEdges(type);
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
    this.#edges = edgesFor(this.#argument)!;
    this.#dropLatch();
    this.#irqType = this.#argument;
    this.save();
    // A buffer that came before the interrupt was enabled has not been looked
    // at. That is done once the request is answered.
    this.#wantsCheck = isLevelType(this.#irqType) &&
      this.#buffers.isHeld(this.lineNumber);
    return 0;
  }

  #switchOffIrq(): number {
    // The driver must see its buffer come back before the answer: Linux warns
    // of a buffer that is still queued when the interrupt is enabled again.
    this.#disableIrq();
    this.#buffers.flush();
    if (this.#edges === Edges.None) return 0;
    this.#edges = Edges.None;
    const result = this.#port.submit(LineOperation.SetEdges, Edges.None);
    return result === PENDING ? this.#wait(Step.IrqOff, 0) : 0;
  }

  #disableIrq(): void {
    this.#irqType = IrqType.None;
    this.#wantsCheck = false;
    this.#dropLatch();
    this.save();
    if (this.#buffers.giveBack(this.lineNumber, EventStatus.Invalid)) {
      this.#counters.countEvent(this.lineNumber, EventCount.Returned);
    }
  }

  #dropLatch(): void {
    if (!this.#isLatched) return;
    this.#isLatched = false;
    this.#counters.countEvent(this.lineNumber, EventCount.Discarded);
  }

  /** Everything the guest made of the line is gone; the port is not told. */
  #discardState(): void {
    this.#toRestore = NO_STATE;
    this.#missed = Edges.None;
    this.#level = UNSPECIFIED;
    this.#isInput = false;
    this.#isOutput = false;
    this.#mustRetake = false;
    this.#edges = Edges.None;
    this.#disableIrq();
  }

  /** Writes down what the guest made of the line, where that is kept. */
  save(): void {
    // What could not be restored yet is still what the guest believes.
    if (this.#toRestore !== NO_STATE) return;
    const isOutput = this.#port.direction === Direction.Output;
    const direction = this.#isInput
      ? Direction.Input
      : this.#isOutput
      ? Direction.Output
      : Direction.None;
    this.#state.store(
      this.lineNumber,
      packState(
        this.#irqType,
        this.#isLatched,
        direction,
        isOutput ? UNSPECIFIED : this.#level,
      ),
    );
  }

  /**
   * Takes up what was kept: the guest never noticed that it was not served. Its
   * interrupt is enabled again, and the line is an input again if it was one.
   * Nothing is ever driven. What the port refuses is tried again when its chip
   * is back, unless the guest has said something else by then.
   */
  restore(word: number): void {
    this.#toRestore = word;
    this.#mayRestore = true;
    this.settle();
  }

  #restoreNow(): void {
    const word = this.#toRestore;
    if (directionIn(word) !== Direction.Input) {
      this.#isOutput = directionIn(word) === Direction.Output;
      this.#mustRetake = this.#isOutput &&
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
    this.#isInput = true;
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
    this.#irqType = irqTypeIn(word);
    this.#edges = edgesFor(this.#irqType)!;
    const wanted = isLevelType(this.#irqType) ? Edges.None : this.#edges;
    this.#isLatched = isLatchedIn(word) || (this.#missed & wanted) !== 0;
    return this.#finishRestore();
  }

  #finishRestore(): number {
    // Newer where the guest has set one before the chip came back.
    if (this.#level === UNSPECIFIED) this.#level = levelIn(this.#toRestore);
    this.#toRestore = NO_STATE;
    this.#missed = Edges.None;
    this.save();
    // The buffer may have come first.
    if (this.#buffers.isHeld(this.lineNumber)) this.unmasked();
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
    if (this.#isLatched) {
      this.#isLatched = false;
      this.#deliver();
      this.save();
    } else if (isLevelType(this.#irqType)) {
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
    } else if (isLevelType(this.#irqType)) this.#checkLevel();
  }

  /**
   * The port reports a change. What it reports before the guest is back whose
   * interrupt was armed in an earlier process is for that guest, and for no one
   * else: an interrupt that is enabled afresh knows nothing of it.
   */
  edge(level: number): void {
    const type = this.#irqType;
    if (isLevelType(type)) {
      this.#checkLevel();
      return;
    }
    const isWanted = type === IrqType.EdgeBoth ||
      type === (level === 0 ? IrqType.EdgeFalling : IrqType.EdgeRising);
    if (!isWanted) {
      if (type === IrqType.None) {
        this.#missed |= level === 0 ? Edges.Falling : Edges.Rising;
      }
      this.#counters.countEvent(this.lineNumber, EventCount.Dropped);
    } else if (this.#buffers.isHeld(this.lineNumber)) {
      this.#deliver();
    } else if (this.#isLatched) {
      this.#counters.countEvent(this.lineNumber, EventCount.Coalesced);
    } else {
      this.#isLatched = true;
      this.save();
      this.#counters.countEvent(this.lineNumber, EventCount.Latched);
    }
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
    this.#wantsCheck = this.#buffers.isHeld(this.lineNumber);
    if (!this.#wantsCheck || this.#step !== Step.Idle) return;
    this.#wantsCheck = false;
    const result = this.#port.submit(LineOperation.GetValue, 0);
    if (result === PENDING) this.#wait(Step.LevelCheck, 0);
    else this.#judge(result);
  }

  #judge(level: number): void {
    const type = this.#irqType;
    if (
      level >= 0 &&
      (type === IrqType.LevelHigh && level !== 0 ||
        type === IrqType.LevelLow && level === 0)
    ) {
      this.#deliver();
    }
  }

  #deliver(): void {
    if (this.#buffers.giveBack(this.lineNumber, EventStatus.Valid)) {
      this.#counters.countEvent(this.lineNumber, EventCount.Delivered);
    }
  }
}

function levelOrFailed(result: number): number {
  if (result < 0) return FAILED;
  return result === 0 ? 0 : 1;
}
