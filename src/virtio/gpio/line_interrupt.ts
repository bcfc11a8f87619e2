/**
 * The interrupt of one line: the type that the guest set, an edge that is kept
 * while the interrupt is masked, and what gives the driver its buffer back.
 *
 * A level that cannot be read (the chip is gone) raises no interrupt: the buffer
 * stays held, since giving it back would make Linux send it again at once.
 *
 * **Source**: virtio 1.3, section 5.18.6 "Device Operation".
 *
 * @module
 */
import { EventCount, type GpioCounters } from "./counters.ts";
import type { EventBuffers } from "./event_buffers.ts";
import { edgesFor, isLevelType } from "./irq_type.ts";
import { EventStatus, IrqType } from "./protocol.ts";
import { Edges } from "../../line/port.ts";

/** Interrupt of one line, as its guest set it. */
export class LineInterrupt {
  readonly #lineNumber: number;
  readonly #buffers: EventBuffers;
  readonly #counters: GpioCounters;
  #type: number = IrqType.None;
  #isLatched = false;
  /** Edges reported while no interrupt was enabled. */
  #missed: number = Edges.None;

  /** Makes an interrupt that is not enabled. */
  constructor(
    lineNumber: number,
    buffers: EventBuffers,
    counters: GpioCounters,
  ) {
    this.#lineNumber = lineNumber;
    this.#buffers = buffers;
    this.#counters = counters;
  }

  /** Type that the guest set, of `IrqType`. */
  get type(): number {
    return this.#type;
  }

  /** True for a type that is decided by the line's level. */
  get isLevel(): boolean {
    return isLevelType(this.#type);
  }

  /** True if an edge is kept until the interrupt is unmasked. */
  get isLatched(): boolean {
    return this.#isLatched;
  }

  /** True while the line's buffer is held. */
  get isUnmasked(): boolean {
    return this.#buffers.isHeld(this.#lineNumber);
  }

  /** Sets the type; a kept edge is discarded. */
  enable(type: number): void {
    this.#dropLatch();
    this.#type = type;
  }

  /** Sets no type; a kept edge is discarded, a held buffer stays. */
  disable(): void {
    this.#type = IrqType.None;
    this.#dropLatch();
  }

  /** Gives the line's buffer back without an interrupt, if it is held. */
  returnBuffer(): void {
    if (this.#buffers.returnBuffer(this.#lineNumber, EventStatus.Invalid)) {
      this.#counters.countEvent(this.#lineNumber, EventCount.Returned);
    }
  }

  /** Publishes the buffers that were given back, as `EventBuffers` does. */
  publish(): void {
    this.#buffers.publish();
  }

  /** Publishes the buffers that were given back, of all lines, and notifies. */
  flush(): void {
    this.#buffers.flush();
  }

  /**
   * Enables the interrupt of a guest that never noticed that it was not served.
   * Edges that the port has reported meanwhile are its edges.
   */
  restore(type: number, isLatched: boolean): void {
    this.#type = type;
    const wanted = isLevelType(type) ? Edges.None : edgesFor(type)!;
    this.#isLatched = isLatched || (this.#missed & wanted) !== 0;
  }

  /** Forgets the edges that were reported while no interrupt was enabled. */
  forgetMissed(): void {
    this.#missed = Edges.None;
  }

  /**
   * Delivers an edge, or keeps it while the interrupt is masked. An edge that
   * the port reports before the guest is back whose interrupt was armed in an
   * earlier process is for that guest only: an interrupt that is enabled afresh
   * knows nothing of it.
   *
   * @returns True if it is kept now, and was not before.
   */
  edge(level: number): boolean {
    const type = this.#type;
    const isWanted = type === IrqType.EdgeBoth ||
      type === (level === 0 ? IrqType.EdgeFalling : IrqType.EdgeRising);
    if (!isWanted) {
      if (type === IrqType.None) {
        this.#missed |= level === 0 ? Edges.Falling : Edges.Rising;
      }
      this.#counters.countEvent(this.#lineNumber, EventCount.Dropped);
    } else if (this.isUnmasked) {
      this.#deliver();
    } else if (this.#isLatched) {
      this.#counters.countEvent(this.#lineNumber, EventCount.Coalesced);
    } else {
      this.#isLatched = true;
      this.#counters.countEvent(this.#lineNumber, EventCount.Latched);
      return true;
    }
    return false;
  }

  /** Delivers the edge that is kept; returns false if there is none. */
  deliverLatched(): boolean {
    if (!this.#isLatched) return false;
    this.#isLatched = false;
    this.#deliver();
    return true;
  }

  /** Interrupts if `level` is the one that the type is about. */
  judge(level: number): void {
    const type = this.#type;
    if (
      level >= 0 &&
      (type === IrqType.LevelHigh && level !== 0 ||
        type === IrqType.LevelLow && level === 0)
    ) {
      this.#deliver();
    }
  }

  #dropLatch(): void {
    if (!this.#isLatched) return;
    this.#isLatched = false;
    this.#counters.countEvent(this.#lineNumber, EventCount.Discarded);
  }

  #deliver(): void {
    if (this.#buffers.returnBuffer(this.#lineNumber, EventStatus.Valid)) {
      this.#counters.countEvent(this.#lineNumber, EventCount.Delivered);
    }
  }
}
