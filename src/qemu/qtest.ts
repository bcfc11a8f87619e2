/**
 * A client of QEMU's qtest channel, in the reactor: it reports the pins of one
 * device and drives others, beside a guest that runs by any accelerator.
 *
 * What is sent must be right: a command that QEMU cannot make sense of, or a
 * pin that does not exist, ends QEMU by an assertion.
 *
 * **Source**: the comment at the top of system/qtest.c of QEMU.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { LineStream } from "./line_stream.ts";

/** Who hears of QEMU's side. */
export interface QtestListener {
  /** A pin of the intercepted device changed. In order with all answers. */
  pin(number: number, level: 0 | 1): void;
  /** All that was to be sent has been. */
  drained(): void;
  /** The connection has ended. Called once, never after disposal. */
  closed(reason: string): void;
  /** The same, and not by QEMU: there is none, or it does not answer. */
  failed(reason: string): void;
}

/** Told what a command led to: the words behind `OK`, or QEMU's complaint. */
export type QtestAnswer = (value: string, failure: string | undefined) => void;

const ANSWER_LIMIT_MS = 10_000;
/** How often answers are looked for, while some are due. */
const WATCH_MS = 2000;
/** Answered entries that are kept at the head of the list, at most. */
const COMPACT_AT = 1024;
/**
 * Reports that may come before the answer that is due. QEMU answers between
 * two accesses of its guest's, so nothing that a guest does leads to as many.
 */
const MAX_REPORTS_BETWEEN_ANSWERS = 1_000_000;
const REPORT = /^IRQ (raise|lower) (\d+)$/;
const WORD = /^0x[0-9a-f]{1,16}$/i;
const IGNORE: QtestAnswer = () => {};

/**
 * One qtest connection.
 *
 * **Ownership**: owns the fd.
 */
export class QtestClient implements Disposable {
  readonly #loop: EventLoop;
  readonly #listener: QtestListener;
  readonly #stream: LineStream;
  /** Who waits for answers, which come in the order of the commands. */
  #waiting: QtestAnswer[] = [];
  /** How many of `waiting` have been answered; they are removed by and by. */
  #head = 0;
  #sent = 0;
  #answered = 0;
  #reportsSinceAnswer = 0;
  #limit: Timer | undefined;
  #isUnderWatch = false;
  #isOver = false;

  /** Speaks on a connected, nonblocking socket. */
  constructor(loop: EventLoop, fd: OwnedFd, listener: QtestListener) {
    this.#loop = loop;
    this.#listener = listener;
    this.#stream = new LineStream(loop, fd, {
      line: (text) => this.#take(text),
      drained: () => this.#listener.drained(),
      closed: (reason) => {
        this[Symbol.dispose]();
        listener.closed(reason);
      },
    });
  }

  /** Commands that QEMU has not read. **Units**: bytes, or nearly so. */
  get backlog(): number {
    return this.#stream.backlog;
  }

  /** Takes all reports that have come so far. Not from inside a report. */
  drain(): void {
    this.#stream.drain();
  }

  /** Reports all changes of the unnamed outputs of one device from now on. */
  interceptOutputs(device: string, answer: QtestAnswer): void {
    this.#send(`irq_intercept_out ${device}`, answer);
  }

  /** Drives an unnamed input of a device. The pin must exist. */
  drive(device: string, pin: number, level: number): void {
    this.#send(`set_irq_in ${device} unnamed-gpio-in ${pin} ${level}`, IGNORE);
  }

  /** Reads 32 bits at an address of the guest's. */
  readWord(address: number, answer: (word: number) => void): void {
    this.#send(`readl 0x${address.toString(16)}`, (value, failure) => {
      if (failure !== undefined) return this.#misspoken(`FAIL ${failure}`);
      if (!WORD.test(value)) return this.#misspoken(`OK ${value}`);
      // The upper half is what qtest makes of 32 bits.
      answer(Number(BigInt(value) & 0xffff_ffffn));
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#limit?.[Symbol.dispose]();
    this.#stream[Symbol.dispose]();
  }

  #send(command: string, answer: QtestAnswer): void {
    if (this.#isOver) return;
    this.#waiting.push(answer);
    this.#sent++;
    this.#stream.send(command + "\n");
    if (!this.#isUnderWatch) this.#watchAnswers();
  }

  /** Ends the connection if no answer comes for a while: QEMU hangs. */
  #watchAnswers(silentMs = 0): void {
    const answered = this.#answered;
    this.#isUnderWatch = answered < this.#sent;
    if (!this.#isUnderWatch) return;
    this.#limit = this.#loop.after(WATCH_MS, () => {
      if (this.#answered !== answered || answered === this.#sent) {
        return this.#watchAnswers();
      }
      if (silentMs + WATCH_MS < ANSWER_LIMIT_MS) {
        return this.#watchAnswers(silentMs + WATCH_MS);
      }
      this.#fail(
        `for ${ANSWER_LIMIT_MS / 1000} s it did not answer: ` +
          "QEMU stands still" +
          (answered > 0 ? "" : ", or serves another program"),
      );
    });
  }

  #take(text: string): void {
    const report = REPORT.exec(text);
    if (report !== null) {
      if (++this.#reportsSinceAnswer > MAX_REPORTS_BETWEEN_ANSWERS) {
        return this.#fail("it reports pins without end, and answers nothing");
      }
      this.#listener.pin(Number(report[2]), report[1] === "raise" ? 1 : 0);
      return;
    }
    const isOk = text === "OK" || text.startsWith("OK ");
    const answer = this.#waiting[this.#head];
    if (answer === undefined || (!isOk && !text.startsWith("FAIL"))) {
      return this.#misspoken(text);
    }
    this.#answered++;
    this.#reportsSinceAnswer = 0;
    if (++this.#head >= COMPACT_AT || this.#head === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    if (isOk) answer(text.slice(3), undefined);
    else answer("", text.slice(5));
  }

  #misspoken(text: string): void {
    const words = JSON.stringify(text.slice(0, 80));
    this.#fail(`it does not speak qtest: ${words}`);
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#listener.failed(reason);
  }
}
