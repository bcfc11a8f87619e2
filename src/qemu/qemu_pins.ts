/**
 * Exposure of an aggregator as the pins of a GPIO controller that an unmodified
 * QEMU emulates: a guest with a driver for that controller has the lines.
 *
 * Two sockets of QEMU's are used, both of its own making: QMP, to find the
 * controller and to hear of resets, and qtest, a testing interface that
 * observes and drives pins beside a running guest. Neither asks who connects:
 * their sockets belong where only QEMU and gpioagg may go.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import type { QemuPin } from "../config/specification.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import type { LineListener, LinePort } from "../virtio/line_port.ts";
import { banksOf } from "./controllers.ts";
import { QemuError } from "./errors.ts";
import { type Controller, findController } from "./find_controller.ts";
import { PinCounters } from "./pin_counters.ts";
import { PinLine, type PinRequest } from "./pin_line.ts";
import { type LinkedPin, type PinRule, PinSession } from "./pin_session.ts";
import { QmpClient } from "./qmp.ts";
import { QtestClient } from "./qtest.ts";

/** One line of the exposure. */
export interface QemuLine {
  readonly port: LinePort;
  /** What the guest may make of the line; looked at whenever it matters. */
  readonly rule: PinRule;
}

/** What is told of an exposure. */
export interface QemuPinsEvents {
  /** QEMU was reached, and has the controller. */
  connected(): void;
  /** QEMU is gone; the next one is waited for. */
  disconnected(reason: string): void;
  /** Lines and pins are tied together. */
  started(): void;
  /** The guest was reset or has shut down: lines go where their rules say. */
  stopped(): void;
  /** Something is not as it should be; told once until it is. */
  fault(error: QemuError): void;
  /**
   * A request of the guest's was done, or was not.
   *
   * @param since When the guest was seen to ask, if there is a clock.
   */
  answered(
    lineNumber: number,
    request: PinRequest,
    isOk: boolean,
    since: number,
  ): void;
  /** The guest made a pin an output whose line is an input by rule. */
  refused(lineNumber: number): void;
}

/** What an exposure is made of. */
export interface QemuPinsOptions {
  readonly loop: EventLoop;
  /** By lineNumber. */
  readonly lines: readonly QemuLine[];
  /** Path of QEMU's qtest socket. */
  readonly qtestPath: string;
  /** Path of a QMP socket that nobody else uses. */
  readonly qmpPath: string;
  /** The controller: a type such as `pl061`, or an object's path. */
  readonly device: string;
  /** Which of several controllers of that type, by rising address. */
  readonly index?: number;
  /** The line behind each pin; absent: pin n is line n. */
  readonly pins?: readonly QemuPin[];
  /**
   * The guest is gone, by a reset, a shutdown or the end of QEMU: called when
   * the lines have been told, for whoever knows their rules.
   */
  readonly onGuestGone: () => void;
  readonly events: QemuPinsEvents;
  /** The clock to measure requests by; absent: nobody measures them. */
  readonly now?: () => number;
}

/** The switch of QEMU's that makes a socket. */
type SocketOption = "qmp" | "qtest";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

/**
 * Ties lines to pins, whichever QEMU is there; waits for one when there is
 * none. All its work is done in the loop.
 *
 * **Ownership**: borrows the lines. Disposing lets go of QEMU and, like a QEMU
 * that goes, tells the lines that their guest is gone.
 */
export class QemuPins implements LineListener, Disposable {
  /** What happened so far. */
  readonly counters: PinCounters;
  readonly #options: QemuPinsOptions;
  readonly #lines: readonly PinLine[];
  #qmp: QmpClient | undefined;
  #qtest: QtestClient | undefined;
  #session: PinSession | undefined;
  #retry: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isConnected = false;
  #lastFault = "";
  #isOver = false;

  /**
   * Makes the exposure and attaches it to the lines; the first attempt to
   * connect comes in the loop's next turn.
   *
   * @throws {RangeError} If `pins` names a line that there is not, or one twice.
   */
  constructor(options: QemuPinsOptions) {
    checkPins(options);
    this.#options = options;
    this.counters = new PinCounters(options.lines.length);
    const { lostRequests } = this.counters;
    this.#lines = options.lines.map(({ port }, lineNumber) =>
      new PinLine(lineNumber, port, {
        level: (lineNumber, level) =>
          this.#session?.lineChanged(lineNumber, level),
        answered: (...request) => options.events.answered(...request),
        overflowed: () => {
          lostRequests[lineNumber] = lostRequests[lineNumber]! + 1;
        },
      })
    );
    for (const [lineNumber, { port }] of options.lines.entries()) {
      port.attach(this, lineNumber);
    }
    options.loop.defer(() => this.#connect());
  }

  completed(lineNumber: number, result: number): void {
    this.#lines[lineNumber]?.completed(result);
  }

  edge(lineNumber: number, level: number): void {
    this.#lines[lineNumber]?.edge(level);
  }

  restored(lineNumber: number): void {
    this.#lines[lineNumber]?.restored();
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#retry?.[Symbol.dispose]();
    this.#disconnect("");
  }

  #connect(): void {
    if (this.#isOver) return;
    const { loop, qmpPath } = this.#options;
    const fd = this.#open("qmp", qmpPath);
    if (fd === undefined) return this.#connectLater();
    this.#qmp = new QmpClient(loop, fd, {
      ready: () => this.#find(),
      event: (name) => this.#heard(name),
      closed: (reason) => this.#lost(`${qmpPath}: ${reason}`),
      failed: (reason) => this.#failed("qmp", qmpPath, reason),
    });
  }

  /** Connects to a socket of QEMU's; undefined while QEMU is not there. */
  #open(option: SocketOption, path: string): OwnedFd | undefined {
    try {
      return connectUnix(path, { wait: false });
    } catch (error) {
      if (!isOsError(error)) throw error;
      const { code, message } = error;
      if (code === "EAGAIN") {
        this.#fault(
          new QemuError(`${path}: another program is connected to it`, {
            hint: socketHint(option, path),
            cause: error,
          }),
        );
      } else if (code !== "ENOENT" && code !== "ECONNREFUSED") {
        this.#fault(
          new QemuError(`Cannot connect to QEMU: ${message}`, { cause: error }),
        );
      } else if (option === "qtest") {
        // QEMU's other socket answers, and both are there before that.
        this.#fault(
          new QemuError(`${path}: QEMU does not listen there`, {
            hint: socketHint(option, path),
            cause: error,
          }),
        );
      }
      return undefined;
    }
  }

  #connectLater(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = this.#options.loop.after(
      this.#retryMs,
      () => this.#connect(),
    );
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  #find(): void {
    const { device, index } = this.#options;
    findController(
      this.#qmp!,
      { device, ...(index === undefined ? {} : { index }) },
      (controller, error) => {
        // With no way on, the connection is kept: its end is the next QEMU's
        // beginning.
        if (controller === undefined) this.#fault(error!);
        else this.#link(controller);
      },
    );
  }

  #link(controller: Controller): void {
    const { loop, qtestPath } = this.#options;
    const pins = this.#pinsOf(controller);
    if (pins === undefined) return;
    const fd = this.#open("qtest", qtestPath);
    if (fd === undefined) return this.#lost(`${qtestPath}: it is not there`);
    const qtest = new QtestClient(loop, fd, {
      pin: (number, level) => {
        this.counters.reports++;
        this.#session?.pinChanged(number, level);
      },
      drained: () => this.#session?.drained(),
      closed: (reason) => this.#lost(`${qtestPath}: ${reason}`),
      failed: (reason) => this.#failed("qtest", qtestPath, reason),
    });
    this.#qtest = qtest;
    this.#session = new PinSession({
      loop,
      qmp: this.#qmp!,
      qtest,
      controller,
      banks: controller.address < 0 ? undefined : banksOf(controller.type),
      pins,
      counters: this.counters,
      now: this.#options.now ?? (() => 0),
      onTurned: (lineNumber, isOutput, since) => {
        const { events } = this.#options;
        events.answered(lineNumber, "set_direction", !isOutput, since);
        if (isOutput) events.refused(lineNumber);
      },
      onLinked: () => this.#options.events.started(),
      onFailed: (reason) => this.#fault(new QemuError(reason)),
    });
    this.#isConnected = true;
    this.#retryMs = FIRST_RETRY_MS;
    this.#lastFault = "";
    this.#options.events.connected();
    this.#session.start();
  }

  /** The pins that lines are tied to; a fault where that cannot be. */
  #pinsOf(controller: Controller): LinkedPin[] | undefined {
    const { lines } = this.#options;
    const wanted: readonly QemuPin[] = this.#options.pins ??
      lines.map((_, lineNumber) => ({ pin: lineNumber, lineNumber }));
    const linked: LinkedPin[] = [];
    for (const one of wanted) {
      const { pin, lineNumber } = one;
      const spec = lines[lineNumber]!;
      const found = pinProblem(controller, one, spec.rule);
      if (found !== undefined) {
        const { type, path } = controller;
        this.#fault(
          new QemuError(`${type} (${path}) ${found.problem}`, {
            hint: found.hint,
          }),
        );
        return undefined;
      }
      linked.push({
        pin,
        line: this.#lines[lineNumber]!,
        get rule() {
          return spec.rule;
        },
      });
    }
    return linked;
  }

  #heard(event: string): void {
    const session = this.#session;
    if (session === undefined) return;
    switch (event) {
      case "RESET":
        this.#guestGone();
        return session.reset();
      case "SHUTDOWN":
        session.halt();
        return this.#guestGone();
      case "STOP":
        return session.rest();
      case "RESUME":
        return session.wake();
    }
  }

  #guestGone(): void {
    this.counters.resets++;
    this.#options.events.stopped();
    this.#leaveLines();
  }

  #leaveLines(): void {
    for (const line of this.#lines) line.guestGone();
    this.#options.onGuestGone();
  }

  /** A socket is not what it should be: told, unless its end tells it. */
  #failed(option: SocketOption, path: string, reason: string): void {
    const text = `${path}: ${reason}`;
    if (!this.#isConnected) {
      this.#fault(new QemuError(text, { hint: socketHint(option, path) }));
    }
    this.#lost(text);
  }

  #lost(reason: string): void {
    this.#disconnect(reason);
    if (!this.#isOver) this.#connectLater();
  }

  #disconnect(reason: string): void {
    this.#session?.[Symbol.dispose]();
    this.#session = undefined;
    this.#qtest?.[Symbol.dispose]();
    this.#qtest = undefined;
    this.#qmp?.[Symbol.dispose]();
    this.#qmp = undefined;
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#leaveLines();
    this.#options.events.disconnected(reason);
  }

  #fault(error: QemuError): void {
    const text = `${error.message}. ${error.hint}`;
    if (text === this.#lastFault) return;
    this.#lastFault = text;
    this.#options.events.fault(error);
  }
}

function socketHint(option: SocketOption, path: string): string {
  return `QEMU makes it with -${option} unix:${path},server=on,wait=off, for ` +
    `gpioagg alone`;
}

/** Why a line cannot be at a pin, and what to do; undefined if it can. */
function pinProblem(
  controller: Controller,
  { pin, name, lineNumber }: QemuPin,
  rule: PinRule,
): { problem: string; hint: string } | undefined {
  const { address, type, inputs, outputs, properties } = controller;
  const isThere = name === undefined
    ? properties.has(pin) || pin < Math.max(inputs, outputs)
    : properties.get(pin) === name;
  if (!isThere) {
    return {
      problem: `has no pin ${name ?? pin}; it has ${describePins(controller)}`,
      hint: "Tie fewer lines, or say with pins which ones",
    };
  }
  const isDirected = address >= 0 && banksOf(type) !== undefined;
  if (rule === "any" && !isDirected) {
    return {
      problem:
        "does not tell which way its pins go, as far as gpioagg knows it",
      hint: `Give line ${lineNumber} direction=input or direction=output`,
    };
  }
  if (rule === "input" && pin >= inputs && !properties.has(pin)) {
    return {
      problem: `takes no level for its pin ${pin} from outside`,
      hint: `Line ${lineNumber} cannot be an input there`,
    };
  }
  if (rule === "output" && pin >= outputs && !isDirected) {
    return {
      problem: `does not report its pin ${pin}`,
      hint: `Line ${lineNumber} cannot be an output there`,
    };
  }
  return undefined;
}

function describePins({ inputs, outputs, properties }: Controller): string {
  const [first] = properties.values();
  return first === undefined
    ? `pins 0 to ${Math.max(inputs, outputs) - 1}`
    : `${properties.size} pins, of which 0 is "${first}"`;
}

function checkPins({ lines, pins = [] }: QemuPinsOptions): void {
  const takenLines = new Set<number>();
  const takenPins = new Set<number>();
  for (const { pin, lineNumber } of pins) {
    const problem = lines[lineNumber] === undefined
      ? `there are ${lines.length} lines`
      : takenLines.has(lineNumber)
      ? "another pin has it"
      : takenPins.has(pin)
      ? "the pin has another line"
      : undefined;
    if (problem !== undefined) {
      throw new RangeError(
        `Cannot tie pin ${pin} to line ${lineNumber}: ${problem}`,
      );
    }
    takenLines.add(lineNumber);
    takenPins.add(pin);
  }
}
