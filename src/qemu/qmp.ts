/**
 * A client of QEMU's machine protocol (QMP), in the reactor: callbacks, no
 * promises, which a thread that waits in epoll would never run.
 *
 * **Source**: docs/interop/qmp-spec.rst of QEMU.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { QemuError } from "./errors.ts";
import { LineStream } from "./line_stream.ts";

/** Who hears of QEMU's side. */
export interface QmpListener {
  /** QEMU takes commands. */
  ready(): void;
  /** Something happened: `RESET`, `STOP`, `RESUME`, `SHUTDOWN`, … */
  event(name: string): void;
  /** All that was to be sent has been. */
  drained?(): void;
  /** The connection has ended. Called once, never after disposal. */
  closed(reason: string): void;
  /** The same, and not by QEMU: there is none, or it does not answer. */
  failed(reason: string): void;
}

/** Told what a command led to: one of the two is undefined. */
export type QmpAnswer = (result: unknown, error: QemuError | undefined) => void;

/** QEMU answers in milliseconds; a machine that swaps may need longer. */
const ANSWER_LIMIT_MS = 10_000;

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
  #nextId = 1;
  #limit: Timer | undefined;
  #isGreeted = false;
  #isReady = false;
  #isOver = false;

  /** Waits for QEMU's greeting on a connected, nonblocking socket. */
  constructor(loop: EventLoop, fd: OwnedFd, listener: QmpListener) {
    this.#loop = loop;
    this.#listener = listener;
    this.#stream = new LineStream(loop, fd, {
      line: (text) => this.#take(text),
      drained: () => listener.drained?.(),
      closed: (reason) => {
        this[Symbol.dispose]();
        listener.closed(reason);
      },
    });
    this.#expect("greet: QEMU stands still, or serves another program");
  }

  /** Commands that QEMU has not read. **Units**: bytes, or nearly so. */
  get backlog(): number {
    return this.#stream.backlog;
  }

  /** Takes all events that have come so far. Not from inside an event. */
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
    this.#stream.send(
      JSON.stringify({ execute: command, arguments: parameters, id }) + "\n",
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

  /** Gives QEMU some time, from now on, to do what it is asked for. */
  #expect(what: string): void {
    this.#limit?.[Symbol.dispose]();
    this.#limit = this.#loop.after(
      ANSWER_LIMIT_MS,
      () => this.#fail(`for ${ANSWER_LIMIT_MS / 1000} s it did not ${what}`),
    );
  }

  #take(text: string): void {
    const message = objectIn(text);
    if (message === undefined) return this.#fail("it does not speak QMP");
    if (typeof message["event"] === "string") {
      if (this.#isReady) this.#listener.event(message["event"]);
    } else if ("QMP" in message) {
      if (this.#isGreeted) return;
      this.#isGreeted = true;
      this.#expect("answer qmp_capabilities");
      this.execute("qmp_capabilities", {}, (_result, error) => {
        if (error !== undefined) return this.#fail(error.message);
        this.#isReady = true;
        this.#listener.ready();
      });
    } else this.#answer(message);
  }

  #answer(message: Record<string, unknown>): void {
    const id = message["id"] as number;
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    const [next] = this.#waiting.values();
    if (next === undefined) {
      this.#limit?.[Symbol.dispose]();
      this.#limit = undefined;
    } else this.#expect(`answer ${next.command}`);
    if (!("error" in message)) waiting.answer(message["return"], undefined);
    else {
      const error = message["error"] as { desc?: unknown } | null;
      const reason = error?.desc ?? JSON.stringify(error);
      waiting.answer(
        undefined,
        new QemuError(`QEMU refused ${waiting.command}: ${reason}`),
      );
    }
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this[Symbol.dispose]();
    this.#listener.failed(reason);
  }
}

/** The JSON object that a line is; QEMU's guest may have broken into QEMU. */
function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}
