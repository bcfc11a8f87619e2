/**
 * Interrupts of an LJCA adapter: events that are due, and when the driver can
 * take them.
 *
 * * An event disarms the line until the driver unmasks it again. What changes
 *   meanwhile is kept, in order.
 * * For both edges the driver reads the line after an event, to tell which one
 *   it was. The level of the event is held for that, and the next event waits
 *   for it.
 *
 * @module
 */
import { Edges, FAILED, LineOperation, PENDING } from "../../line/port.ts";
import type { Timer } from "../../reactor/event_loop.ts";
import type { UsbDeviceOptions } from "../core/gpio_usb_device.ts";
import { LevelQueues } from "../core/level_queues.ts";
import type { LineBank } from "../core/line_bank.ts";
import { LINES_PER_ADAPTER } from "../core/models.ts";
import {
  type Saved,
  savedBytes,
  type SavedReader,
} from "../core/saved_state.ts";
import { HEADER, newEvent } from "./protocol.ts";
import { Trigger } from "./trigger.ts";

/** Purpose of a line's operation: the level is read for a level interrupt. */
export const CHECK = 8;

/** Changes of a line that wait for the driver, which takes them at once. */
const MAX_LEVELS = 128;
/** Time that a driver has to read a line after it has unmasked it. */
const READ_LIMIT_MS = 50;

/** Parts of an adapter that its interrupts use. */
interface InterruptParts {
  readonly bank: LineBank;
  readonly clock: Pick<UsbDeviceOptions, "now" | "after">;
  /** Changes of lines that were not reported to a guest, by line. */
  readonly lostEdges: Float64Array;
  /** Sends an event to the host; false if there is no room. */
  send(event: Uint8Array): boolean;
}

/** Interrupts of all lines of one adapter. */
export class LjcaInterrupts {
  readonly #bank: LineBank;
  readonly #clock: InterruptParts["clock"];
  readonly #lostEdges: Float64Array;
  readonly #sendEvent: InterruptParts["send"];
  readonly #event = newEvent();
  readonly #levels: LevelQueues;
  readonly #triggers: Uint8Array;
  readonly #isArmed: Uint8Array;
  readonly #wantsCheck: Uint8Array;
  /** Level of the last event, until the driver has read it; -1: none. */
  readonly #held: Int8Array;
  /** When an event need not wait for that any more. */
  readonly #heldUntil: Float64Array;
  #timer: Timer | undefined;
  /** Event that waits for the answer under way to be sent; -1: none. */
  #readLine = -1;
  #hasWaitingEvents = false;

  /** Begins with interrupts that are all disabled. */
  constructor({ bank, clock, lostEdges, send }: InterruptParts) {
    const count = bank.length;
    this.#bank = bank;
    this.#clock = clock;
    this.#lostEdges = lostEdges;
    this.#sendEvent = send;
    this.#levels = new LevelQueues(count, MAX_LEVELS);
    this.#triggers = new Uint8Array(count);
    this.#isArmed = new Uint8Array(count);
    this.#wantsCheck = new Uint8Array(count);
    this.#held = new Int8Array(count).fill(-1);
    this.#heldUntil = new Float64Array(count);
  }

  /** Enables the interrupt of a line with a `Trigger`; the driver unmasks it. */
  enable(line: number, trigger: number): void {
    this.#triggers[line] = trigger;
    this.#levels.clear(line);
    this.#held[line] = -1;
  }

  /** Disables the interrupt of a line that is no longer an input. */
  disable(line: number): void {
    this.#triggers[line] = Trigger.None;
    this.#isArmed[line] = 0;
  }

  /** Disables the interrupt of a line, and drops what waits. */
  mask(line: number): void {
    this.disable(line);
    this.#held[line] = -1;
    this.#levels.clear(line);
  }

  /** Arms a line for its next event, which follows the answer under way. */
  unmask(line: number): void {
    if (this.#triggers[line] === Trigger.None) return;
    this.#isArmed[line] = 1;
    if (this.#held[line]! >= 0) {
      this.#heldUntil[line] = this.#clock.now() + READ_LIMIT_MS;
    }
    this.#readLine = line;
  }

  /** Takes the level that the driver reads after an event; -1: none is held. */
  takeHeld(line: number): number {
    const held = this.#held[line]!;
    if (held < 0) return held;
    this.#held[line] = -1;
    this.#readLine = line;
    return held;
  }

  /** The answer under way was sent. */
  answered(): void {
    const line = this.#readLine;
    this.#readLine = -1;
    if (line >= 0) this.#deliver(line);
  }

  /** The host has room for events again. */
  drained(): void {
    if (!this.#hasWaitingEvents) return;
    this.#hasWaitingEvents = false;
    for (let line = 0; line < this.#bank.length; line++) this.#deliver(line);
  }

  /** A line has changed. */
  edge(line: number, level: number): void {
    const trigger = this.#triggers[line]!;
    if (trigger === Trigger.None) return;
    if (trigger >= Trigger.High) return this.#check(line);
    const edge = level === 0 ? Edges.Falling : Edges.Rising;
    if ((trigger & edge) === 0) return;
    const lost = this.#levels.push(line, level);
    if (lost > 0) this.#lostEdges[line] = this.#lostEdges[line]! + lost;
    this.#deliver(line);
  }

  /** A line may have changed while its chip was away. */
  restored(line: number): void {
    if (this.#triggers[line]! >= Trigger.High) this.#check(line);
  }

  /** An operation of a line is done: it can be read again. */
  settled(line: number): void {
    if (this.#wantsCheck[line] === 1) this.#check(line);
  }

  /** Disables all interrupts, and drops what waits. */
  forget(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#triggers.fill(Trigger.None);
    this.#isArmed.fill(0);
    this.#wantsCheck.fill(0);
    this.#held.fill(-1);
    for (let line = 0; line < this.#bank.length; line++) {
      this.#levels.clear(line);
    }
    this.#readLine = -1;
    this.#hasWaitingEvents = false;
  }

  /** Returns what a guest has made of the interrupts. */
  save(): Saved {
    return {
      triggers: savedBytes(this.#triggers),
      isArmed: savedBytes(this.#isArmed),
      held: savedBytes(this.#held),
      levels: this.#levels.save(),
      readLine: this.#readLine,
    };
  }

  /**
   * Goes on with what was saved, once the lines do.
   *
   * @throws {RangeError} If it does not fit.
   */
  restore(saved: SavedReader): void {
    saved.fill("triggers", this.#triggers, Trigger.None, Trigger.Low);
    saved.fill("isArmed", this.#isArmed, 0, 1);
    saved.fill("held", this.#held, -1, 1);
    this.#levels.restore(saved.list("levels", LINES_PER_ADAPTER.ljca));
    this.#readLine = saved.integer("readLine", -1, this.#bank.length - 1);
    this.#heldUntil.fill(this.#clock.now() + READ_LIMIT_MS);
    this.#hasWaitingEvents = true;
  }

  /** Sends the event that is due, if the driver can take it. */
  #deliver(line: number): void {
    if (this.#isArmed[line] === 0) return;
    const trigger = this.#triggers[line]!;
    if (trigger >= Trigger.High) return this.#check(line);
    if (this.#levels.count(line) === 0) return;
    if (this.#held[line]! >= 0) {
      const leftMs = this.#heldUntil[line]! - this.#clock.now();
      if (leftMs > 0) return this.#deliverIn(leftMs);
    }
    const level = this.#levels.first(line);
    if (!this.#send(line, level)) return;
    this.#levels.shift(line);
    if (trigger === Trigger.Both) this.#held[line] = level;
  }

  #deliverIn(ms: number): void {
    this.#timer ??= this.#clock.after(ms, () => {
      this.#timer = undefined;
      for (let line = 0; line < this.#bank.length; line++) {
        if (this.#held[line]! >= 0) this.#deliver(line);
      }
    });
  }

  #send(line: number, level: number): boolean {
    this.#event[HEADER.size + 1] = line;
    this.#event[HEADER.size + 2] = level;
    // Before it is sent: the host may answer at once.
    this.#isArmed[line] = 0;
    if (this.#sendEvent(this.#event)) return true;
    this.#isArmed[line] = 1;
    this.#hasWaitingEvents = true;
    return false;
  }

  /** Reads a line for its level interrupt. */
  #check(line: number): void {
    this.#wantsCheck[line] = 0;
    if (this.#isArmed[line] === 0 || this.#triggers[line]! < Trigger.High) {
      return;
    }
    if (this.#bank.isBusy(line)) {
      this.#wantsCheck[line] = 1;
      return;
    }
    const result = this.#bank.submit(
      line,
      LineOperation.GetValue,
      0,
      CHECK,
    );
    if (result !== PENDING) this.checked(line, result);
  }

  /** A line was read for its level interrupt. */
  checked(line: number, level: number): void {
    // A level that cannot be read raises no interrupt.
    if (level === FAILED || this.#isArmed[line] === 0) return;
    const trigger = this.#triggers[line]!;
    const active = trigger === Trigger.High ? 1 : 0;
    if (trigger >= Trigger.High && level === active) this.#send(line, level);
  }
}
