/**
 * GPIO controller of the ML7213 IOH, a PCI card that Linux drives by
 * `gpio-ml-ioh`: 109 lines in 8 channels, each a chip of the guest.
 *
 * - A pin that becomes an output is driven at the write of its output latch that
 *   follows, since the driver sets the direction first; otherwise the line would
 *   get an old level for a moment.
 * - The driver reads a pin's level after the interrupt. The level of the edge
 *   that caused it is kept until it has been read, so that a short pulse is a
 *   rising and a falling edge, not two falling ones.
 * - Pins without a line read 0; writes to them are counted.
 * - The card cannot refuse: a line that does not take its level is retried
 *   ({@linkcode PinLine}).
 *
 * **Source**: Linux `drivers/gpio/gpio-ml-ioh.c`.
 *
 * @module
 */
import { PinLine, type PinRequest, type PinRetry } from "../line/pin_line.ts";
import type { LineListener, LinePort } from "../line/port.ts";
import { Channel, CHANNEL_WORDS, Mode } from "./ml_ioh_channel.ts";
import { CHANNEL_PINS, layOut } from "./ml_ioh_layout.ts";
import type { PciCard } from "./pci_card.ts";

/** Registers of a channel, from its base. */
const Register = {
  /** Interrupt enable. */
  Enable: 0x00,
  /** Interrupt status, read only. */
  Status: 0x04,
  /** Interrupt clear: 1 clears. */
  Clear: 0x0c,
  /** Interrupt mask: 1 masks. */
  Mask: 0x10,
  /** Interrupt mask clear: 1 unmasks. */
  MaskClear: 0x14,
  /** Output latch. */
  Output: 0x18,
  /** Levels, read only. */
  Input: 0x1c,
  /** Direction: 1 is output. */
  Direction: 0x20,
  /** Interrupt modes of pins 0 to 7, 4 bits each. */
  Mode0: 0x24,
  /** Interrupt modes of pins 8 to 15. */
  Mode1: 0x28,
} as const;

/** Distance between two channels. **Units**: bytes. */
const CHANNEL_BYTES = 0x30;
const CHANNELS_END = CHANNEL_BYTES * CHANNEL_PINS.length;
const BAR = 1;
const BAR_BYTES = 0x200;

/** Reports of a card to its owner. None of these may throw. */
interface CardEvents {
  /**
   * The guest's driver uses the card; `isResumed` if it did in an earlier
   * process.
   */
  started(isResumed: boolean): void;
  /** The guest is gone. */
  guestGone(): void;
  /** The guest no longer drives a line that is an output by rule. */
  lineLeft(lineNumber: number): void;
  /** A line did what the guest asked at `since`, or did not. */
  answered(
    lineNumber: number,
    request: PinRequest,
    isOk: boolean,
    since: number,
  ): void;
  /** The guest drives a line that is an input by rule. */
  refused(lineNumber: number): void;
}

/** A line behind a pin of the card. */
interface CardLine {
  readonly port: LinePort;
  /** Direction by rule, which the guest cannot change. */
  readonly rule: "input" | "output" | "any" | undefined;
  readonly retry: PinRetry;
}

/** An ML7213 IOH whose pins are lines. */
export class MlIoh implements PciCard, LineListener {
  readonly vendor = 0x10db;
  readonly device = 0x802e;
  readonly classCode = 0x088000;
  readonly bars = [{ index: BAR, size: BAR_BYTES }];
  readonly stateWords = CHANNEL_PINS.length * CHANNEL_WORDS + 1;
  onInterrupt: () => void = () => {};
  /** Accesses that the hardware does not have, and writes to absent pins. */
  strays = 0;
  readonly #channels: readonly Channel[];
  readonly #lines: readonly CardLine[];
  readonly #pins: readonly PinLine[];
  /** Channel and bit of each line. */
  readonly #channelByLine: Uint8Array;
  readonly #bitByLine: Uint8Array;
  readonly #events: CardEvents;
  readonly #now: () => number;
  #words: Int32Array;

  /**
   * Makes the card and attaches itself to the lines' ports.
   *
   * @param now Monotonic time, for the measurement of requests.
   * @throws {RangeError} If there are more lines than pins.
   */
  constructor(
    lines: readonly CardLine[],
    events: CardEvents,
    now: () => number,
  ) {
    this.#lines = lines;
    this.#events = events;
    this.#now = now;
    this.#words = new Int32Array(this.stateWords);
    this.#channels = CHANNEL_PINS.map((_, i) => new Channel(i, this.#words));
    const layout = layOut(lines.length);
    this.#channelByLine = Uint8Array.from(layout, ({ channel }) => channel);
    this.#bitByLine = Uint8Array.from(layout, ({ bit }) => bit);
    layout.forEach(({ channel, bit }, lineNumber) => {
      this.#channels[channel]!.pins |= 1 << bit;
      this.#channels[channel]!.lineNumbers[bit] = lineNumber;
    });
    const listener = {
      level: (lineNumber: number, level: number) =>
        this.#level(lineNumber, level),
      answered: (
        lineNumber: number,
        request: PinRequest,
        isOk: boolean,
        since: number,
      ) => events.answered(lineNumber, request, isOk, since),
      dropped: () => {},
    };
    this.#pins = lines.map(({ port, retry }, lineNumber) => {
      port.attach(this, lineNumber);
      return new PinLine(lineNumber, port, listener, retry);
    });
  }

  get isInterrupting(): boolean {
    for (let i = 0; i < this.#channels.length; i++) {
      if (this.#channels[i]!.status !== 0) return true;
    }
    return false;
  }

  completed(lineNumber: number, result: number): void {
    this.#pins[lineNumber]!.completed(result);
  }

  edge(lineNumber: number, level: number): void {
    this.#pins[lineNumber]!.edge(level);
  }

  restored(lineNumber: number): void {
    this.#pins[lineNumber]!.restored();
  }

  read(bar: number, offset: number, size: number): number {
    if (bar !== BAR) return 0;
    const word = this.#readRegister(offset & ~3);
    if (size >= 4) return word;
    return (word >>> ((offset & 3) * 8)) & (size === 1 ? 0xff : 0xffff);
  }

  write(bar: number, offset: number, size: number, value: number): void {
    // The hardware has 32-bit registers only, and so has the driver.
    if (bar !== BAR || size !== 4 || (offset & 3) !== 0) {
      this.strays++;
      return;
    }
    this.#start();
    this.#writeRegister(offset, value >>> 0);
    this.onInterrupt();
  }

  begin(words: Int32Array, isResumed: boolean): void {
    this.#words = words;
    for (const channel of this.#channels) {
      channel.use(words);
      if (!isResumed) channel.clear();
    }
    if (!isResumed || !this.#isStarted) return;
    this.#events.started(true);
    for (const channel of this.#channels) this.#resume(channel);
    this.onInterrupt();
  }

  /** Goes on with the lines of a guest that an earlier process served. */
  #resume(channel: Channel): void {
    // A change since then is an edge, once the line has been read.
    channel.actual = channel.levels;
    for (const [bit, lineNumber] of channel.lineNumbers.entries()) {
      if (lineNumber === undefined) continue;
      const mask = 1 << bit;
      const { rule } = this.#lines[lineNumber]!;
      const isDriven = (channel.direction & ~channel.undriven & mask) !== 0 &&
        rule !== "input";
      if (isDriven) {
        const level = (channel.output >>> bit) & 1;
        this.#pins[lineNumber]!.drive(level, this.#now(), true);
      } else if (rule !== "output") this.#pins[lineNumber]!.listen();
    }
  }

  /** True once a driver has used the card; the word behind the channels'. */
  get #isStarted(): boolean {
    return this.#words[this.stateWords - 1] !== 0;
  }

  set #isStarted(value: boolean) {
    this.#words[this.stateWords - 1] = value ? 1 : 0;
  }

  reset(): void {
    const wasStarted = this.#isStarted;
    this.#isStarted = false;
    for (const channel of this.#channels) channel.clear();
    this.onInterrupt();
    // A VMM resets its devices before the first guest, too.
    if (!wasStarted) return;
    for (const pin of this.#pins) pin.guestGone();
    this.#events.guestGone();
  }

  disconnect(): void {
    this.reset();
    // The session's memory goes with it.
    this.begin(new Int32Array(this.stateWords), false);
  }

  /** The first access of a driver: inputs are read from now on. */
  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#events.started(false);
    for (let i = 0; i < this.#pins.length; i++) {
      if (this.#lines[i]!.rule !== "output") this.#pins[i]!.listen();
    }
  }

  #readRegister(offset: number): number {
    if (offset >= CHANNELS_END) return 0;
    this.#start();
    const channel = this.#channels[(offset / CHANNEL_BYTES) | 0]!;
    switch (offset % CHANNEL_BYTES) {
      case Register.Enable:
        return channel.enabled;
      case Register.Status:
        return channel.status;
      case Register.Mask:
        return channel.masked;
      case Register.Output:
        return channel.output;
      case Register.Input:
        return this.#readLevels(channel);
      case Register.Direction:
        return channel.direction;
      case Register.Mode0:
        return channel.mode0;
      case Register.Mode1:
        return channel.mode1;
      default:
        return 0;
    }
  }

  #writeRegister(offset: number, value: number): void {
    if (offset >= CHANNELS_END) return;
    const channel = this.#channels[(offset / CHANNEL_BYTES) | 0]!;
    switch (offset % CHANNEL_BYTES) {
      case Register.Enable:
        channel.enabled = value & channel.pins;
        this.#release(channel, channel.kept & ~value);
        return this.#latchLevels(channel);
      case Register.Clear:
        channel.latched &= ~value;
        channel.cleared |= channel.kept & value;
        return this.#latchLevels(channel);
      case Register.Mask:
        channel.masked |= value & channel.pins;
        return;
      case Register.MaskClear:
        channel.masked &= ~value;
        return;
      case Register.Output:
        return this.#writeOutput(channel, value);
      case Register.Direction:
        return this.#writeDirection(channel, value);
      case Register.Mode0:
        channel.mode0 = value;
        return this.#latchLevels(channel);
      case Register.Mode1:
        channel.mode1 = value;
        return this.#latchLevels(channel);
      default:
        this.strays++;
    }
  }

  /** Drives the outputs whose level changes or is new. */
  #writeOutput(channel: Channel, value: number): void {
    if ((value & ~channel.pins) !== 0) this.strays++;
    const changed = (channel.output ^ value) | channel.undriven;
    channel.output = value & channel.pins;
    let due = changed & channel.direction & channel.pins;
    const since = this.#now();
    while (due !== 0) {
      const bit = 31 - Math.clz32(due & -due);
      due &= due - 1;
      const mask = 1 << bit;
      const isTurn = (channel.undriven & mask) !== 0;
      channel.undriven &= ~mask;
      this.#drive(channel, bit, (value >>> bit) & 1, since, isTurn);
    }
  }

  #writeDirection(channel: Channel, value: number): void {
    if ((value & ~channel.pins) !== 0) this.strays++;
    const wanted = value & channel.pins;
    let changed = channel.direction ^ wanted;
    channel.direction = wanted;
    const since = this.#now();
    while (changed !== 0) {
      const bit = 31 - Math.clz32(changed & -changed);
      changed &= changed - 1;
      const mask = 1 << bit;
      if ((wanted & mask) !== 0) channel.undriven |= mask;
      else this.#letGo(channel, bit, since);
    }
  }

  #drive(
    channel: Channel,
    bit: number,
    level: number,
    since: number,
    isTurn: boolean,
  ): void {
    const lineNumber = channel.lineNumbers[bit]!;
    if (this.#lines[lineNumber]!.rule === "input") {
      this.#events.refused(lineNumber);
      return;
    }
    const mask = 1 << bit;
    channel.actual = level === 1
      ? channel.actual | mask
      : channel.actual & ~mask;
    channel.levels = (channel.levels & ~mask) | (channel.actual & mask);
    channel.kept &= ~mask;
    channel.cleared &= ~mask;
    this.#pins[lineNumber]!.drive(level, since, isTurn);
  }

  #letGo(channel: Channel, bit: number, since: number): void {
    const mask = 1 << bit;
    const wasDriven = (channel.undriven & mask) === 0;
    channel.undriven &= ~mask;
    if (!wasDriven) return;
    const lineNumber = channel.lineNumbers[bit]!;
    switch (this.#lines[lineNumber]!.rule) {
      case "input":
        return;
      case "output":
        this.#pins[lineNumber]!.release(since);
        this.#events.lineLeft(lineNumber);
        return;
      default:
        this.#pins[lineNumber]!.input(since);
    }
  }

  /** A line has this level. */
  #level(lineNumber: number, level: number): void {
    const channel = this.#channels[this.#channelByLine[lineNumber]!]!;
    const bit = this.#bitByLine[lineNumber]!;
    const mask = 1 << bit;
    if (((channel.actual >>> bit) & 1) === level) return;
    channel.actual ^= mask;
    if ((channel.kept & mask) === 0) this.#show(channel, bit);
  }

  /** Lets the guest see the present level of a line, and latches its edge. */
  #show(channel: Channel, bit: number): void {
    const mask = 1 << bit;
    const level = (channel.actual >>> bit) & 1;
    if (((channel.levels >>> bit) & 1) === level) return;
    channel.levels ^= mask;
    const mode = channel.readMode(bit);
    const isDue = mode === Mode.Both ||
      mode === (level === 1 ? Mode.Rising : Mode.Falling) ||
      mode === (level === 1 ? Mode.High : Mode.Low);
    if (isDue) {
      channel.latched |= mask;
      // Only where a handler will read it: otherwise it would never be released.
      if (mode === Mode.Both && (channel.enabled & mask) !== 0) {
        channel.kept |= mask;
      }
    } else if (mode === Mode.High || mode === Mode.Low) {
      channel.latched &= ~mask;
    }
    this.onInterrupt();
  }

  /** Returns the levels; those that were kept have been read now. */
  #readLevels(channel: Channel): number {
    const { levels } = channel;
    this.#release(channel, channel.cleared);
    return levels;
  }

  /** Shows the present levels of pins whose level was kept. */
  #release(channel: Channel, pins: number): void {
    channel.kept &= ~pins;
    channel.cleared &= ~pins;
    while (pins !== 0) {
      const bit = 31 - Math.clz32(pins & -pins);
      pins &= pins - 1;
      this.#show(channel, bit);
    }
  }

  /** Latches level interrupts again while their level is there. */
  #latchLevels(channel: Channel): void {
    let pins = channel.pins & channel.enabled & ~channel.direction;
    while (pins !== 0) {
      const bit = 31 - Math.clz32(pins & -pins);
      pins &= pins - 1;
      const level = (channel.levels >>> bit) & 1;
      const mode = channel.readMode(bit);
      if (mode === (level === 1 ? Mode.High : Mode.Low)) {
        channel.latched |= 1 << bit;
      }
    }
  }
}
