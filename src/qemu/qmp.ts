/**
 * A client of QEMU's machine protocol (QMP), in the reactor: callbacks, no
 * promises, which a thread that waits in epoll would never run.
 *
 * **Source**: docs/interop/qmp-spec.rst of QEMU.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Timer, TimeShare } from "../reactor/event_loop.ts";
import { QemuError } from "./errors.ts";
import { LineStream } from "./line_stream.ts";
import { printable } from "../text/printable.ts";

/** Receiver of QEMU's messages. */
interface QmpListener {
  /** QEMU accepts commands. */
  ready(): void;
  /** Something happened: `RESET`, `STOP`, `RESUME`, `SHUTDOWN`, … */
  event(name: string): void;
  /** All queued commands have been sent. */
  drained?(): void;
  /** No other process can go on with this connection. */
  cut?(): void;
  /** The connection has ended. Called once, never after disposal. */
  closed(reason: string): void;
  /** The same, without an answer: QEMU does not run or hangs. */
  failed(reason: string): void;
}

/** Receives a command's result: one of the two is undefined. */
type QmpAnswer = (result: unknown, error: QemuError | undefined) => void;

/** QEMU answers in milliseconds; a machine that swaps may need longer. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * Longest line that is parsed, which takes a fraction of a millisecond. QEMU
 * lists the properties of an object in one line, some 70 bytes for each: a
 * controller has hundreds, an interrupt controller for many CPUs thousands.
 */
const MAX_LINE_LENGTH = 64 * 1024;
/** Ids of commands that a process has, behind those of earlier ones. */
const IDS = 2 ** 32;
const GREETING = "send a greeting: QEMU is stopped, or serves another program";
/** Nesting depth that QEMU's answers do not reach. */
const MAX_DEPTH = 16;

interface Waiting {
  readonly command: string;
  readonly answer: QmpAnswer;
}

/**
 * One QMP connection.
 *
 * **Ownership**: owns the fd.
 */
export class QmpClient implements Disposable {
  readonly #loop: EventLoop;
  readonly #listener: QmpListener;
  readonly #stream: LineStream;
  readonly #waiting = new Map<number, Waiting>();
  #nextId: number;
  #limit: Timer | undefined;
  #isGreeted: boolean;
  #isReady: boolean;
  /** Answers of an earlier process may come, also the rest of one. */
  #isResuming: boolean;
  #isOver = false;

  /**
   * Waits for QEMU's greeting on a connected, nonblocking socket, or goes on
   * with the connection of an earlier process: its answers are ignored, and its
   * events are heard, up to the answer to a command without effect.
   *
   * @param share QEMU's share of the loop's time.
   * @param generation Number of earlier processes that had the connection.
   */
  constructor(
    loop: EventLoop,
    fd: OwnedFd,
    share: TimeShare,
    listener: QmpListener,
    generation = 0,
  ) {
    this.#loop = loop;
    this.#listener = listener;
    this.#nextId = generation * IDS + 1;
    this.#isResuming = generation > 0;
    this.#isGreeted = this.#isResuming;
    this.#isReady = this.#isResuming;
    const maxLineLength = MAX_LINE_LENGTH;
    this.#stream = new LineStream({ loop, fd, share, maxLineLength }, {
      line: (text) => this.#take(text),
      tooLong: () => this.#takeTooLong(),
      drained: () => listener.drained?.(),
      cut: () => listener.cut?.(),
      closed: (reason) => {
        this[Symbol.dispose]();
        listener.closed(reason);
      },
      failed: (reason) => this.#fail(reason),
    });
    if (this.#isResuming) this.#resume();
    else this.#expect(GREETING);
  }

  /** The socket's number. */
  get fd(): number {
    return this.#stream.fd;
  }

  /** Commands that QEMU has not read. **Units**: bytes, approximately. */
  get backlog(): number {
    return this.#stream.backlog;
  }

  /**
   * Processes all events that have arrived so far. Must not be called from an
   * event.
   */
  drain(): void {
    this.#stream.drain();
  }

  /** Runs a command; `answer` is called once, unless the connection ends. */
  execute(
    command: string,
    parameters: Readonly<Record<string, unknown>>,
    answer: QmpAnswer,
  ): void {
    if (this.#isOver) return;
    const id = this.#nextId++;
    this.#waiting.set(id, { command, answer });
    this.#stream.sendLine(
      JSON.stringify({ execute: command, arguments: parameters, id }),
    );
    if (this.#limit === undefined) this.#expect(`answer ${command}`);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#waiting.clear();
    this.#limit?.[Symbol.dispose]();
    this.#limit = undefined;
    this.#stream[Symbol.dispose]();
  }

  #resume(): void {
    this.execute("query-status", {}, (result, error) => {
      if (error !== undefined) return this.#fail(error.message);
      if (!isObject(result)) return this.#fail("it does not speak QMP");
      this.#isResuming = false;
      this.#listener.ready();
    });
  }

  /** Starts the time limit of QEMU's next answer. */
  #expect(what: string): void {
    this.#limit?.[Symbol.dispose]();
    this.#limit = this.#loop.after(
      ANSWER_LIMIT_MS,
      () => this.#fail(`for ${ANSWER_LIMIT_MS / 1000} s it did not ${what}`),
    );
  }

  #take(text: string): void {
    const message = objectIn(text);
    if (message === undefined) {
      return this.#isResuming ? undefined : this.#fail("it does not speak QMP");
    }
    if (typeof message["event"] === "string") {
      if (this.#isReady) this.#listener.event(message["event"]);
    } else if (isObject(message["QMP"])) {
      if (this.#isGreeted) return;
      this.#isGreeted = true;
      this.#expect("answer qmp_capabilities");
      this.execute("qmp_capabilities", {}, (result, error) => {
        if (error !== undefined) return this.#fail(error.message);
        if (!isObject(result)) return this.#fail("it does not speak QMP");
        this.#isReady = true;
        this.#listener.ready();
      });
    } else this.#answer(message);
  }

  /** Answers come in the order of the commands, and an event is short. */
  #takeTooLong(): void {
    const [first] = this.#waiting;
    if (first === undefined) return this.#fail("it does not speak QMP");
    const [id, waiting] = first;
    this.#settle(id);
    waiting.answer(
      undefined,
      new QemuError(
        `QEMU's answer to ${waiting.command} has more than ` +
          `${MAX_LINE_LENGTH} characters`,
      ),
    );
  }

  #answer(message: Record<string, unknown>): void {
    const id = message["id"] as number;
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#settle(id);
    if (!("error" in message)) waiting.answer(message["return"], undefined);
    else {
      const error = message["error"] as { desc?: unknown } | null;
      const desc = error?.desc;
      const reason = typeof desc === "string"
        ? printable(desc)
        : "without a reason";
      waiting.answer(
        undefined,
        new QemuError(`QEMU refused ${waiting.command}: ${reason}`),
      );
    }
  }

  /** A command was answered: the limit of the next one begins now. */
  #settle(id: number): void {
    this.#waiting.delete(id);
    const [next] = this.#waiting.values();
    if (next === undefined) {
      this.#limit?.[Symbol.dispose]();
      this.#limit = undefined;
    } else this.#expect(`answer ${next.command}`);
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#listener.failed(reason);
  }
}

/** Returns the JSON object of a line, defensively: QEMU may be compromised. */
function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && !isDeep(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns true if a value is nested deeper than the limit. */
function isDeep(value: object): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    const below: unknown[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null) continue;
      for (const member of Object.values(one)) {
        if (typeof member === "object") below.push(member);
      }
    }
    level = below;
  }
  return false;
}
