/**
 * A client of QEMU's qtest channel, in the reactor: it reports the pins of one
 * device and drives others, beside a guest that runs with any accelerator.
 *
 * Commands must be correct: an unknown command, or a pin that does not exist,
 * ends QEMU by an assertion.
 *
 * The socket's path may lead to another program. Therefore the first command is
 * a fixed one without side effects; no other is sent, and no report is used,
 * before its answer has shown that the peer speaks qtest.
 *
 * **Source**: the comment at the top of system/qtest.c of QEMU.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Timer, TimeShare } from "../reactor/event_loop.ts";
import { LineStream } from "./line_stream.ts";
import { printable } from "../text/printable.ts";

/** Receiver of QEMU's messages. */
export interface QtestListener {
  /** The peer speaks qtest. Reports that arrived before follow. */
  ready(): void;
  /** A pin of the intercepted device changed. In order with all answers. */
  pin(number: number, level: 0 | 1): void;
  /** All queued commands have been sent. */
  drained(): void;
  /** No other process can go on with this connection. */
  cut?(): void;
  /** The connection has ended. Called once, never after disposal. */
  closed(reason: string): void;
  /** The same, without an answer: QEMU does not run or hangs. */
  failed(reason: string): void;
}

/** Receives a command's result: the words after `OK`, or QEMU's error. */
type QtestAnswer = (value: string, failure: string | undefined) => void;

const ANSWER_LIMIT_MS = 10_000;
/** Interval of checks for answers, while some are due. */
const WATCH_MS = 2000;
/** Limit of answered entries at the head of the list. */
const COMPACT_AT = 1024;
/**
 * Limit of reports before the answer that is due. QEMU answers between two
 * accesses of its guest, so that no guest can cause as many.
 */
const MAX_REPORTS_BETWEEN_ANSWERS = 32_768;
/** Answers and reports are a few words. */
const MAX_LINE_LENGTH = 4096;
/** Reports that may come before the first answer. */
const MAX_EARLY_REPORTS = 4096;
/** Reads the target's byte order: every QEMU answers one of the two. */
const HELLO = "endianness";
const HELLO_ANSWER = /^(little|big)$/;
/** No other command is answered so. */
const HELLO_LINE = /^OK (little|big)$/;
const REPORT = /^IRQ (raise|lower) (\d{1,4})$/;
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
  /** Receivers of answers, which arrive in the order of the commands. */
  #waiting: QtestAnswer[] = [];
  /**
   * Number of `waiting` that have been answered; they are removed in batches.
   */
  #head = 0;
  #sent = 0;
  #answered = 0;
  #reportsSinceAnswer = 0;
  #isReady = false;
  /** Answers of an earlier process may come before the first one. */
  #isResuming: boolean;
  /** Commands and reports that wait for the first answer. */
  #heldCommands: string[] = [];
  #heldReports: (readonly [pin: number, level: 0 | 1])[] = [];
  #limit: Timer | undefined;
  #isUnderWatch = false;
  #isOver = false;

  /**
   * Uses a connected, nonblocking socket.
   *
   * @param share QEMU's share of the loop's time.
   * @param isResumed True if an earlier process has used it: what was to be
   * answered to that one is ignored, and reports are taken.
   */
  constructor(
    loop: EventLoop,
    fd: OwnedFd,
    share: TimeShare,
    listener: QtestListener,
    isResumed = false,
  ) {
    this.#loop = loop;
    this.#listener = listener;
    this.#isResuming = isResumed;
    const maxLineLength = MAX_LINE_LENGTH;
    this.#stream = new LineStream({ loop, fd, share, maxLineLength }, {
      line: (text) => this.#take(text),
      drained: () => this.#listener.drained(),
      cut: () => this.#listener.cut?.(),
      closed: (reason) => {
        this[Symbol.dispose]();
        listener.closed(reason);
      },
      failed: (reason) => this.#fail(reason),
    });
    if (isResumed) this.#stream.hold(0);
    this.#send(HELLO, (value, failure) => this.#greeted(value, failure));
  }

  /** The socket's number. */
  get fd(): number {
    return this.#stream.fd;
  }

  /** Position of the message that is being handed on. */
  get position(): number {
    return this.#stream.lineStart;
  }

  /**
   * The report that is being handed on is not done yet: the next process should
   * find it, and those after it.
   */
  hold(): void {
    this.#stream.hold(this.#stream.lineStart);
  }

  /** Reports before this position are done; absent: all are. */
  done(position?: number): void {
    this.#stream.release(position);
  }

  /** Commands that QEMU has not read. **Units**: bytes, approximately. */
  get backlog(): number {
    return this.#stream.backlog;
  }

  /**
   * Processes all reports that have arrived so far. Must not be called from a
   * report.
   */
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

  /** Reads 32 bits at an address of the guest. */
  readWord(address: number, answer: (word: number) => void): void {
    this.#send(`readl 0x${address.toString(16)}`, (value, failure) => {
      if (failure !== undefined) return this.#failProtocol(`FAIL ${failure}`);
      if (!WORD.test(value)) return this.#failProtocol(`OK ${value}`);
      // qtest sign-extends 32 bits.
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
    if (this.#isReady || this.#sent === 1) this.#stream.sendLine(command);
    else this.#heldCommands.push(command);
    if (!this.#isUnderWatch) this.#watchAnswers();
  }

  /** The first answer: from here on the peer counts as a QEMU. */
  #greeted(value: string, failure: string | undefined): void {
    if (failure !== undefined) return this.#failProtocol(`FAIL ${failure}`);
    if (!HELLO_ANSWER.test(value)) return this.#failProtocol(`OK ${value}`);
    this.#isReady = true;
    for (const command of this.#heldCommands.splice(0)) {
      this.#stream.sendLine(command);
    }
    this.#listener.ready();
    for (const [pin, level] of this.#heldReports.splice(0)) {
      if (!this.#isOver) this.#listener.pin(pin, level);
    }
  }

  /** Ends the connection if there is no answer for a while: QEMU hangs. */
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
          "QEMU is stopped" +
          (answered > 0 ? "" : ", or serves another program"),
      );
    });
  }

  #take(text: string): void {
    const report = text.startsWith("IRQ ") ? REPORT.exec(text) : null;
    if (report !== null) {
      const limit = this.#isReady
        ? MAX_REPORTS_BETWEEN_ANSWERS
        : MAX_EARLY_REPORTS;
      if (++this.#reportsSinceAnswer > limit) {
        return this.#fail("it sends reports without end, and no answers");
      }
      const pin = Number(report[2]);
      const level = report[1] === "raise" ? 1 : 0;
      if (this.#isReady) this.#listener.pin(pin, level);
      else this.#heldReports.push([pin, level]);
      return;
    }
    if (this.#isResuming) {
      if (!HELLO_LINE.test(text)) return;
      this.#isResuming = false;
    }
    const isOk = text === "OK" || text.startsWith("OK ");
    const answer = this.#waiting[this.#head];
    if (answer === undefined || (!isOk && !text.startsWith("FAIL"))) {
      return this.#failProtocol(text);
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

  #failProtocol(text: string): void {
    const words = JSON.stringify(printable(text, 80));
    this.#fail(`it does not speak qtest: ${words}`);
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#listener.failed(reason);
  }
}
