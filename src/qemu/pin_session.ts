/**
 * The pins of one controller, for as long as one QEMU is connected.
 *
 * Which pins are outputs, the guest says in its controller's registers, and
 * QEMU does not report that. So whatever a pin reports is held back until the
 * registers have been read behind it: a pin that changes because it became an
 * input, or because of its pull-up, drives nothing. What changes no level is
 * not reported at all and is found by looking again every few milliseconds.
 *
 * QEMU's reports are relative: when a program connects, it takes all pins for
 * low, so a pin that is high does not report its first fall. The same looking
 * finds it, and the rise behind it, if that comes sooner, tells of it too.
 *
 * A pin that is let go and taken again between two looks, with a pull that
 * changes its level in between, cannot be told from one that was driven so.
 *
 * @module
 */
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { Direction } from "../virtio/line_port.ts";
import { PINS_PER_BANK, type RegisterBank } from "./controllers.ts";
import type { Controller } from "./find_controller.ts";
import type { PinCounters } from "./pin_counters.ts";
import type { PinLine } from "./pin_line.ts";
import type { QmpClient } from "./qmp.ts";
import type { QtestClient } from "./qtest.ts";

/** What the guest may make of a pin. */
export type PinRule = "input" | "output" | "any";

/** A pin with the line that it is tied to. */
export interface LinkedPin {
  readonly pin: number;
  readonly line: PinLine;
  readonly rule: PinRule;
}

/** What a session needs. */
export interface PinSessionOptions {
  readonly loop: EventLoop;
  readonly qmp: QmpClient;
  readonly qtest: QtestClient;
  readonly controller: Controller;
  /** Where directions are read; undefined: only the rules tell them. */
  readonly banks: readonly RegisterBank[] | undefined;
  readonly pins: readonly LinkedPin[];
  readonly counters: PinCounters;
  /** The clock that requests are measured by; 0 where nobody measures. */
  readonly now: () => number;
  /**
   * Whether the lines are as the guest of an earlier process left them, who
   * has not come back yet.
   */
  readonly isAwaited: () => boolean;
  /** That guest, back or another one, does not drive a line that it did. */
  readonly onLeft: (lineNumber: number) => void;
  /**
   * The guest made a pin an output, seen at `since`, or an input again, whose
   * line its rule keeps an input.
   */
  readonly onTurned: (
    lineNumber: number,
    isOutput: boolean,
    since: number,
  ) => void;
  /** All pins are linked, after the start or a reset. */
  readonly onLinked: () => void;
  /** QEMU refused what it should do; the session does nothing any more. */
  readonly onFailed: (reason: string) => void;
  /** QEMU did not take a level for the pin that is this property. */
  readonly onRefused: (property: string, reason: string) => void;
}

/** How often the registers are looked at without a reason. */
const LOOK_MS = 20;
/** Commands beyond this wait: QEMU reads slowly, or stands still. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;

class Pin {
  readonly pin: number;
  readonly line: PinLine;
  isOutput = false;
  /** It became an output, and its line has not been told of that. */
  isTurned = false;
  /** What the line was driven to last; -1: nothing. */
  driven = -1;
  /** What the pin is to be driven to, or was last; -1: nothing yet. */
  level = -1;
  /** `level` waits until QEMU has read what was sent before. */
  isLate = false;
  /** A report of this pin is in the batch that is being settled, or behind it. */
  isReported = false;
  readonly #linked: LinkedPin;

  constructor(linked: LinkedPin) {
    this.#linked = linked;
    this.pin = linked.pin;
    this.line = linked.line;
  }

  /** Asked anew each time: rules may be changed. */
  get rule(): PinRule {
    return this.#linked.rule;
  }
}

interface BankState {
  readonly registers: RegisterBank;
  /** Which bank of the controller's it is. */
  readonly index: number;
  directions: number;
  levels: number;
}

/** The link between pins and lines. */
export class PinSession implements Disposable {
  readonly #options: PinSessionOptions;
  readonly #pins: readonly Pin[];
  readonly #byNumber = new Map<number, Pin>();
  readonly #byLine = new Map<number, Pin>();
  readonly #banks: readonly BankState[];
  readonly #invertedBanks: readonly BankState[];
  /** Reports that no reading of the registers has confirmed: pin * 2 + level. */
  #reports: number[] = [];
  /** When each of them came. */
  #reportTimes: number[] = [];
  /** When the registers were looked at last. */
  #lookedAt = 0;
  /** How many of them came before the directions that are being read. */
  #confirmed = 0;
  #isReading = false;
  /** Counts resets: what was asked before one is of no interest after it. */
  #era = 0;
  #isLinked = false;
  /** The machine is paused: there is no news. */
  #isResting = false;
  /** The guest has shut down: what its pins are is of no interest. */
  #isHalted = false;
  /** QEMU does not report the pins: what it reports is not about them. */
  #hasFailed = false;
  #timer: Timer | undefined;
  #isOver = false;

  /** Makes the link; `start` brings it to life. */
  constructor(options: PinSessionOptions) {
    this.#options = options;
    this.#pins = options.pins.map((linked) => new Pin(linked));
    for (const pin of this.#pins) {
      this.#byNumber.set(pin.pin, pin);
      this.#byLine.set(pin.line.lineNumber, pin);
    }
    const used = new Set(
      this.#pins.map(({ pin }) => Math.floor(pin / PINS_PER_BANK)),
    );
    this.#banks = (options.banks ?? []).map((registers, index) => ({
      registers,
      index,
      directions: 0,
      levels: 0,
    })).filter(({ index }) => used.has(index));
    this.#invertedBanks = this.#banks.filter(({ registers }) =>
      registers.inversion !== undefined
    );
  }

  /**
   * Learns what the guest does with its pins, then ties lines and pins; of a
   * guest that has shut down there is nothing to learn before a reset.
   */
  start(): void {
    const { qtest, controller, onFailed } = this.#options;
    const era = this.#era;
    const begin = () => {
      if (era === this.#era && !this.#isHalted) this.#begin();
    };
    if (controller.outputs === 0) return begin();
    qtest.interceptOutputs(controller.path, (_value, failure) => {
      if (failure === undefined) begin();
      else {
        this.#hasFailed = true;
        this.stop();
        onFailed(
          `QEMU does not report the pins of ${controller.path}: ${failure}` +
            (failure.includes("already")
              ? ", for another controller, and it reports those of one"
              : ""),
        );
      }
    });
  }

  /** The machine was reset: every pin is an input again. */
  reset(): void {
    if (this.#hasFailed) return;
    this.#era++;
    this.#forgetReports();
    this.#isReading = false;
    this.#isResting = false;
    this.#isHalted = false;
    this.#begin();
  }

  /** The guest has shut down: nothing that its pins do counts until a reset. */
  halt(): void {
    this.finish();
    this.stop();
  }

  /** Nothing that is reported or known of the pins counts until a reset. */
  stop(): void {
    this.#era++;
    this.#forgetReports();
    this.#isReading = false;
    this.#isHalted = true;
  }

  /**
   * Does what was reported last of pins that were outputs when somebody
   * looked: nobody will look again. A reset would have been heard of.
   */
  finish(): void {
    const reports = this.#reports;
    const times = this.#reportTimes;
    this.#forgetReports();
    for (const [i, report] of reports.entries()) {
      const pin = this.#byNumber.get(report >> 1)!;
      if (pin.isOutput) this.#obey(pin, report & 1, times[i]!);
    }
  }

  /** The machine is paused: what its guest drives stays as it is. */
  rest(): void {
    this.#isResting = true;
  }

  /**
   * The guest runs again, maybe with the state of another time or machine:
   * its inputs are told again what the lines are.
   */
  wake(): void {
    this.#isResting = false;
    for (const pin of this.#pins) {
      if (pin.level !== -1 && !pin.isLate) this.#push(pin);
    }
    if (this.#isLinked && this.#banks.length > 0) this.#look();
  }

  /** A pin of the controller changed. */
  pinChanged(number: number, level: 0 | 1): void {
    const pin = this.#byNumber.get(number);
    if (pin === undefined || this.#isHalted) return;
    const now = this.#options.now();
    if (this.#banks.length === 0) {
      if (pin.rule === "output") this.#drive(pin, level, now);
      return;
    }
    this.#reports.push(2 * number + level);
    this.#reportTimes.push(now);
    this.#look();
  }

  /** A line has this level, which its pin shall have. */
  lineChanged(lineNumber: number, level: number): void {
    const pin = this.#byLine.get(lineNumber);
    if (pin === undefined || pin.level === level) return;
    if (pin.isLate) count(this.#options.counters.lostLevels, lineNumber);
    pin.level = level;
    pin.isLate = this.#channelOf(pin).backlog > MAX_BACKLOG_BYTES;
    if (!pin.isLate) this.#push(pin);
  }

  /** QEMU has read all that was sent by one of the two. */
  drained(channel: QmpClient | QtestClient): void {
    for (const pin of this.#pins) {
      if (!pin.isLate || this.#channelOf(pin) !== channel) continue;
      pin.isLate = false;
      this.#push(pin);
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#era++;
    this.#forgetReports();
    this.#timer?.[Symbol.dispose]();
  }

  #begin(): void {
    this.#isLinked = false;
    for (const pin of this.#pins) {
      pin.isOutput = false;
      pin.isTurned = false;
      pin.driven = -1;
      pin.level = -1;
      pin.isLate = false;
    }
    if (this.#banks.length > 0) return this.#look();
    for (const pin of this.#pins) this.#beginInput(pin);
    this.#linked();
  }

  /** A pin is no output when it is looked at first, or that is not known. */
  #beginInput({ line, rule }: Pin): void {
    const { isAwaited, onLeft } = this.#options;
    const wasDriven = line.port.direction === Direction.Output;
    if (rule !== "input" && wasDriven && isAwaited()) {
      line.guestGone();
      onLeft(line.lineNumber);
    }
    if (rule !== "output") line.listen();
  }

  #linked(): void {
    this.#isLinked = true;
    this.#options.onLinked();
  }

  #forgetReports(): void {
    this.#reports = [];
    this.#reportTimes = [];
  }

  /** Reads the registers, unless that is under way. */
  #look(): void {
    if (this.#isReading || this.#isHalted || this.#isOver) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#isReading = true;
    this.#lookedAt = this.#options.now();
    const era = this.#era;
    const last = this.#banks.at(-1);
    const inverted = this.#invertedBanks;
    for (const bank of this.#banks) {
      this.#read(era, bank.registers.direction, (word) => {
        bank.directions = word;
        if (bank === last) this.#confirmed = this.#reports.length;
      });
    }
    for (const bank of this.#banks) {
      this.#read(era, bank.registers.data, (word) => {
        bank.levels = word;
        if (bank === last && inverted.length === 0) this.#settle();
      });
    }
    for (const bank of inverted) {
      this.#read(era, bank.registers.inversion!, (word) => {
        bank.levels ^= word;
        if (bank === inverted.at(-1)) this.#settle();
      });
    }
  }

  #read(era: number, offset: number, take: (word: number) => void): void {
    const { qtest, controller } = this.#options;
    qtest.readWord(controller.address + offset, (word) => {
      if (era === this.#era) take(word);
    });
  }

  /** Does to the lines what the guest did, as far as it is confirmed. */
  #settle(): void {
    this.#isReading = false;
    const isFirst = !this.#isLinked;
    const reports = this.#reports;
    const times = this.#reportTimes;
    this.#reports = reports.slice(this.#confirmed);
    this.#reportTimes = times.slice(this.#confirmed);
    for (const report of reports) {
      this.#byNumber.get(report >> 1)!.isReported = true;
    }
    for (const [i, report] of reports.slice(0, this.#confirmed).entries()) {
      const pin = this.#byNumber.get(report >> 1)!;
      if (this.#isDirectedOut(pin)) this.#obey(pin, report & 1, times[i]!);
    }
    const released: Pin[] = [];
    for (const pin of this.#pins) {
      if (this.#isDirectedOut(pin)) this.#driven(pin);
      else if (pin.isOutput) {
        pin.isOutput = false;
        released.push(pin);
      } else if (isFirst) this.#beginInput(pin);
      pin.isReported = false;
    }
    if (released.length > 0) this.#release(released);
    if (isFirst) this.#linked();
    if (this.#reports.length > 0) this.#look();
    else if (!this.#isResting && !this.#isOver) {
      this.#timer = this.#options.loop.after(LOOK_MS, () => this.#look());
    }
  }

  #isDirectedOut({ pin }: Pin): boolean {
    return bitOf(this.#banks, pin, "directions") === 1;
  }

  /** Does what a report of an output says. */
  #obey(pin: Pin, level: number, since: number): void {
    const isRise = level === 1;
    if (pin.isOutput && pin.driven === 1 && isRise) this.#drive(pin, 0, since);
    this.#becomeOutput(pin, since);
    this.#drive(pin, level, since);
  }

  /** The guest's pin is an output: takes over what no report has told. */
  #driven(pin: Pin): void {
    this.#becomeOutput(pin, this.#lookedAt);
    const level = bitOf(this.#banks, pin.pin, "levels");
    // Reports tell more than the level at the end, and may still be coming.
    if (!pin.isReported && pin.driven !== level) {
      this.#drive(pin, level, this.#lookedAt);
    }
  }

  #becomeOutput(pin: Pin, since: number): void {
    if (pin.isOutput) return;
    pin.isOutput = true;
    pin.isTurned = true;
    pin.driven = -1;
    // An output does not take levels: it is told again as an input.
    pin.level = -1;
    pin.isLate = false;
    if (pin.rule === "input") this.#tellTurned(pin, since);
  }

  #drive(pin: Pin, level: number, since: number): void {
    if (pin.rule === "input") return;
    const { isTurned } = pin;
    pin.isTurned = false;
    pin.driven = level;
    pin.line.drive(level, since, isTurned);
  }

  #tellTurned({ line: { lineNumber }, isOutput }: Pin, since: number): void {
    this.#options.onTurned(lineNumber, isOutput, since);
  }

  /**
   * Pins are inputs that were outputs. A reset does that too, and then the
   * rules for a guest that is gone hold: QEMU tells of it on its other
   * connection, in front of the next answer there.
   */
  #release(pins: readonly Pin[]): void {
    const era = this.#era;
    const since = this.#lookedAt;
    this.#options.qmp.execute("query-status", {}, () => {
      if (era !== this.#era) return;
      for (const pin of pins) {
        if (pin.isOutput) continue;
        pin.isTurned = false;
        pin.level = -1;
        if (pin.rule === "output") pin.line.release(since);
        else if (pin.rule === "any") pin.line.input(since);
        else {
          this.#tellTurned(pin, since);
          pin.line.listen();
        }
      }
    });
  }

  /** Which way levels of a pin are told. */
  #channelOf({ pin }: Pin): QmpClient | QtestClient {
    const { qmp, qtest, controller } = this.#options;
    return pin < controller.inputs ? qtest : qmp;
  }

  #push(pin: Pin): void {
    const { qtest, controller, counters } = this.#options;
    const property = controller.properties.get(pin.pin);
    if (pin.pin < controller.inputs) {
      qtest.drive(controller.path, pin.pin, pin.level);
      count(counters.levels, pin.line.lineNumber);
    } else if (property !== undefined) this.#pushProperty(pin, property);
  }

  #pushProperty({ line: { lineNumber }, level }: Pin, property: string): void {
    const { qmp, controller: { path }, counters, onRefused } = this.#options;
    const value = level === 1;
    qmp.execute("qom-set", { path, property, value }, (_result, error) => {
      if (error === undefined) count(counters.levels, lineNumber);
      else {
        count(counters.lostLevels, lineNumber);
        onRefused(property, `${path}, ${property}: ${error.message}`);
      }
    });
  }
}

function count(counts: Float64Array, lineNumber: number): void {
  counts[lineNumber] = counts[lineNumber]! + 1;
}

function bitOf(
  banks: readonly BankState[],
  pin: number,
  word: "directions" | "levels",
): number {
  const index = Math.floor(pin / PINS_PER_BANK);
  const bank = banks.find((bank) => bank.index === index);
  return bank === undefined ? 0 : bank[word] >>> (pin % PINS_PER_BANK) & 1;
}
