/**
 * The pins of one controller, for as long as one QEMU is connected.
 *
 * The guest sets pins' directions in its controller's registers, which QEMU
 * does not report. Therefore a pin's report is held back until the registers
 * have been read after it: a pin that changes because it became an input, or
 * because of its pull-up, drives nothing. A change that alters no level is not
 * reported at all, and is found by polling every few milliseconds.
 *
 * QEMU's reports are relative: when a program connects, it takes all pins for
 * low, so a pin that is high does not report its first fall. The polling finds
 * it; the following rise, if it comes sooner, implies it too.
 *
 * A pin that is released and driven again between two polls, with a pull that
 * changes its level in between, cannot be distinguished from one that was
 * driven so.
 *
 * @module
 */
import type { EventLoop, Timer, TimeShare } from "../reactor/event_loop.ts";
import { Direction } from "../line/port.ts";
import type { RegisterBank } from "./controllers.ts";
import type { Controller } from "./find_controller.ts";
import type { PinCounters } from "./pin_counters.ts";
import { RegisterBanks } from "./register_banks.ts";
import { type LinkedPin, SessionPin } from "./session_pin.ts";
import type { QmpClient } from "./qmp.ts";
import type { QtestClient } from "./qtest.ts";

/** Parts of a session. */
interface PinSessionOptions {
  readonly loop: EventLoop;
  /** QEMU's share of the loop's time. */
  readonly share: TimeShare;
  readonly qmp: QmpClient;
  readonly qtest: QtestClient;
  readonly controller: Controller;
  /**
   * Register banks with the directions; undefined if only the rules define
   * them.
   */
  readonly banks: readonly RegisterBank[] | undefined;
  readonly pins: readonly LinkedPin[];
  readonly counters: PinCounters;
  /** Clock for the duration of requests; 0 if they are not measured. */
  readonly now: () => number;
  /**
   * Returns true if the lines are as the guest of an earlier process left them,
   * which has not returned yet.
   */
  readonly isAwaited: () => boolean;
  /** The guest of an earlier process goes on: what it drives, it still does. */
  readonly isContinued?: boolean;
  /** That guest, returned or replaced, no longer drives a line that it did. */
  readonly onLeft: (lineNumber: number) => void;
  /**
   * The guest made a pin an output, seen at `since`, or an input again,
   * although its line's rule keeps it an input.
   */
  readonly onTurned: (
    lineNumber: number,
    isOutput: boolean,
    since: number,
  ) => void;
  /** All pins are linked, after the start or a reset. */
  readonly onLinked: () => void;
  /** QEMU refused a command; the session does nothing any more. */
  readonly onFailed: (reason: string) => void;
  /** QEMU did not take a level for the pin that is this property. */
  readonly onRefused: (property: string, reason: string) => void;
}

/** Interval of polling the registers. */
const POLL_MS = 20;
/** Limit of commands in QEMU's queue: beyond it QEMU is slow, or stopped. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;

/** Limit of reports of a QEMU that ends which are applied one by one. */
const MAX_LAST_REPORTS = 1024;

/** Confirmed reports, which are applied within the peer's share. */
interface Settling {
  readonly reports: readonly number[];
  readonly times: readonly number[];
  /** Number of those that have been applied. */
  done: number;
}

/** The link between pins and lines. */
export class PinSession implements Disposable {
  readonly #options: PinSessionOptions;
  readonly #pins: readonly SessionPin[];
  readonly #byNumber = new Map<number, SessionPin>();
  readonly #byLine = new Map<number, SessionPin>();
  readonly #banks: RegisterBanks;
  /**
   * Reports that no reading of the registers has confirmed: pin * 2 + level.
   */
  #reports: number[] = [];
  /** Arrival time of each of them. */
  #reportTimes: number[] = [];
  /** Time of the last reading of the registers. */
  #lookedAt = 0;
  /** Number of those that arrived before the directions that are being read. */
  #confirmed = 0;
  /** The report after those is behind this position. */
  #confirmedAt = 0;
  #isReading = false;
  #settling: Settling | undefined;
  /** Number of resets: answers to earlier commands are ignored after one. */
  #era = 0;
  #isLinked = false;
  /** The machine is paused: its registers do not change. */
  #isResting = false;
  /** The guest has shut down: its pins are ignored. */
  #isHalted = false;
  /** QEMU does not report these pins: its reports are about others. */
  #hasFailed = false;
  #timer: Timer | undefined;
  #isOver = false;

  /** Makes the link; `start` brings it to life. */
  constructor(options: PinSessionOptions) {
    this.#options = options;
    this.#pins = options.pins.map((linked) => new SessionPin(linked));
    for (const pin of this.#pins) {
      this.#byNumber.set(pin.pin, pin);
      this.#byLine.set(pin.line.lineNumber, pin);
    }
    this.#banks = new RegisterBanks(
      options.banks ?? [],
      this.#pins.map(({ pin }) => pin),
    );
  }

  /**
   * Reads the guest's use of its pins, then ties lines and pins; after a
   * shutdown there is nothing to read before a reset.
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

  /** The guest has shut down: its pins are ignored until a reset. */
  halt(): void {
    this.finish();
    this.stop();
  }

  /** Reports and states of the pins are ignored until a reset. */
  stop(): void {
    this.#era++;
    this.#forgetReports();
    this.#isReading = false;
    this.#isHalted = true;
  }

  /**
   * Applies the last reports of pins that were outputs at the last poll: there
   * is no further poll. A reset would have been reported.
   */
  finish(): void {
    const { reports: confirmed = [], times: confirmedAt = [], done = 0 } =
      this.#settling ?? {};
    const reports = [...confirmed.slice(done), ...this.#reports];
    const times = [...confirmedAt.slice(done), ...this.#reportTimes];
    const confirmedCount = confirmed.length - done;
    this.#forgetReports();
    const obey = (i: number) => {
      const pin = this.#byNumber.get(reports[i]! >> 1)!;
      const isOutput = i < confirmedCount
        ? this.#isDirectedOut(pin)
        : pin.isOutput;
      if (isOutput) this.#obey(pin, reports[i]! & 1, times[i]!);
    };
    const count = Math.min(reports.length, MAX_LAST_REPORTS);
    for (let i = 0; i < count; i++) obey(i);
    // Of so many that they would delay other guests, only the result.
    const last = new Map<number, number>();
    for (let i = count; i < reports.length; i++) last.set(reports[i]! >> 1, i);
    for (const i of [...last.values()].sort((a, b) => a - b)) obey(i);
  }

  /** The machine is paused: the guest's outputs stay as they are. */
  rest(): void {
    this.#isResting = true;
  }

  /**
   * The guest runs again, possibly with the state of another time or machine:
   * its inputs get their lines' values again.
   */
  wake(): void {
    this.#isResting = false;
    for (const pin of this.#pins) {
      if (pin.level !== -1 && !pin.isLate) this.#push(pin);
    }
    if (this.#isLinked && !this.#banks.isEmpty) this.#poll();
  }

  /** A pin of the controller changed. */
  pinChanged(number: number, level: 0 | 1): void {
    const pin = this.#byNumber.get(number);
    if (pin === undefined || this.#isHalted) return;
    const now = this.#options.now();
    if (this.#banks.isEmpty) {
      if (pin.rule === "output") this.#drive(pin, level, now);
      return;
    }
    this.#options.qtest.hold();
    this.#reports.push(2 * number + level);
    this.#reportTimes.push(now);
    this.#poll();
  }

  /** A line has this level, which its pin must get. */
  lineChanged(lineNumber: number, level: number): void {
    const pin = this.#byLine.get(lineNumber);
    if (pin === undefined || pin.level === level) return;
    if (pin.isLate) this.#options.counters.countLostLevel(lineNumber);
    pin.level = level;
    pin.isLate = this.#selectChannel(pin).backlog > MAX_BACKLOG_BYTES;
    if (!pin.isLate) this.#push(pin);
  }

  /** One of the two connections has no unread commands any more. */
  drained(channel: QmpClient | QtestClient): void {
    for (const pin of this.#pins) {
      if (!pin.isLate || this.#selectChannel(pin) !== channel) continue;
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
    if (!this.#banks.isEmpty) return this.#poll();
    for (const pin of this.#pins) this.#beginInput(pin);
    this.#linked();
  }

  /** A pin is not an output at the first poll, or its direction is unknown. */
  #beginInput({ line, rule }: SessionPin): void {
    const { isAwaited, isContinued = false, onLeft } = this.#options;
    const wasDriven = line.port.direction === Direction.Output;
    const isKept = isContinued && this.#banks.isEmpty;
    if (rule !== "input" && wasDriven && !isKept && isAwaited()) {
      line.guestGone();
      onLeft(line.lineNumber);
    }
    if (rule !== "output") line.listen();
  }

  #linked(): void {
    this.#isLinked = true;
    this.#confirmReports();
    this.#options.onLinked();
  }

  /** Reports that were applied need not be found by the next process. */
  #confirmReports(): void {
    const { qtest } = this.#options;
    if (this.#reports.length === 0) qtest.done();
    else qtest.done(this.#confirmedAt);
  }

  #forgetReports(): void {
    this.#reports = [];
    this.#reportTimes = [];
    this.#settling = undefined;
    this.#options.qtest.done();
  }

  /** Reads the registers, unless that is in progress. */
  #poll(): void {
    if (this.#isReading || this.#isHalted || this.#isOver) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#isReading = true;
    this.#lookedAt = this.#options.now();
    const era = this.#era;
    this.#banks.read(
      (offset, take) => this.#read(era, offset, take),
      () => {
        this.#confirmed = this.#reports.length;
        this.#confirmedAt = this.#options.qtest.position;
      },
      () => this.#settle(),
    );
  }

  #read(era: number, offset: number, take: (word: number) => void): void {
    const { qtest, controller } = this.#options;
    qtest.readWord(controller.address + offset, (word) => {
      if (era === this.#era) take(word);
    });
  }

  /** Applies the guest's confirmed changes to the lines. */
  #settle(): void {
    const reports = this.#reports;
    const times = this.#reportTimes;
    this.#reports = reports.slice(this.#confirmed);
    this.#reportTimes = times.slice(this.#confirmed);
    for (const report of reports) {
      this.#byNumber.get(report >> 1)!.isReported = true;
    }
    const settling = {
      reports: reports.slice(0, this.#confirmed),
      times: times.slice(0, this.#confirmed),
      done: 0,
    };
    this.#settling = settling;
    this.#obeyConfirmed(settling);
  }

  /** Applies reports in their order within the peer's share. */
  #obeyConfirmed(settling: Settling): void {
    const { reports, times } = settling;
    while (settling.done < reports.length) {
      if (settling !== this.#settling) return;
      const i = settling.done++;
      const pin = this.#byNumber.get(reports[i]! >> 1)!;
      if (this.#isDirectedOut(pin)) this.#obey(pin, reports[i]! & 1, times[i]!);
      const { share } = this.#options;
      if (settling.done < reports.length && share.isSpent) {
        return share.defer(() => this.#obeyConfirmed(settling));
      }
    }
    if (settling === this.#settling) this.#settled();
  }

  /** Applies what the registers show beside the reports. */
  #settled(): void {
    this.#settling = undefined;
    this.#isReading = false;
    const isFirst = !this.#isLinked;
    const released: SessionPin[] = [];
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
    else this.#confirmReports();
    if (this.#reports.length > 0) this.#poll();
    else if (!this.#isResting && !this.#isOver) {
      this.#timer = this.#options.loop.after(POLL_MS, () => this.#poll());
    }
  }

  #isDirectedOut({ pin }: SessionPin): boolean {
    return this.#banks.isOutput(pin);
  }

  /** Does what a report of an output says. */
  #obey(pin: SessionPin, level: number, since: number): void {
    const isRise = level === 1;
    if (pin.isOutput && pin.driven === 1 && isRise) this.#drive(pin, 0, since);
    this.#becomeOutput(pin, since);
    this.#drive(pin, level, since);
  }

  /** The guest's pin is an output: applies levels that no report has shown. */
  #driven(pin: SessionPin): void {
    this.#becomeOutput(pin, this.#lookedAt);
    const level = this.#banks.pinLevel(pin.pin);
    // Reports show more than the final level, and may still arrive.
    if (!pin.isReported && pin.driven !== level) {
      this.#drive(pin, level, this.#lookedAt);
    }
  }

  #becomeOutput(pin: SessionPin, since: number): void {
    if (pin.isOutput) return;
    pin.isOutput = true;
    pin.isTurned = true;
    pin.driven = -1;
    // Levels are not sent to an output: it gets them again as an input.
    pin.level = -1;
    pin.isLate = false;
    if (pin.rule === "input") this.#reportTurned(pin, since);
  }

  #drive(pin: SessionPin, level: number, since: number): void {
    if (pin.rule === "input") return;
    const { isTurned } = pin;
    pin.isTurned = false;
    pin.driven = level;
    pin.line.drive(level, since, isTurned);
  }

  #reportTurned(
    { line: { lineNumber }, isOutput }: SessionPin,
    since: number,
  ): void {
    this.#options.onTurned(lineNumber, isOutput, since);
  }

  /**
   * Pins that were outputs are inputs now. A reset does that too, and then the
   * rules for a guest that is gone apply: QEMU reports it on its other
   * connection, before the next answer there.
   */
  #release(pins: readonly SessionPin[]): void {
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
          this.#reportTurned(pin, since);
          pin.line.listen();
        }
      }
    });
  }

  /** Returns how levels of a pin are sent. */
  #selectChannel({ pin }: SessionPin): QmpClient | QtestClient {
    const { qmp, qtest, controller } = this.#options;
    return pin < controller.inputs ? qtest : qmp;
  }

  #push(pin: SessionPin): void {
    const { qtest, controller, counters } = this.#options;
    const property = controller.properties.get(pin.pin);
    if (pin.pin < controller.inputs) {
      qtest.drive(controller.path, pin.pin, pin.level);
      counters.countLevel(pin.line.lineNumber);
    } else if (property !== undefined) this.#pushProperty(pin, property);
  }

  #pushProperty(
    { line: { lineNumber }, level }: SessionPin,
    property: string,
  ): void {
    const { qmp, controller: { path }, counters, onRefused } = this.#options;
    const value = level === 1;
    qmp.execute("qom-set", { path, property, value }, (_result, error) => {
      if (error === undefined) counters.countLevel(lineNumber);
      else {
        counters.countLostLevel(lineNumber);
        onRefused(property, `${path}, ${property}: ${error.message}`);
      }
    });
  }
}
