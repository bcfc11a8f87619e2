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
import type { ControllerModel } from "./controllers.ts";
import { QemuError } from "./errors.ts";
import { type Controller, findController } from "./find_controller.ts";
import { PinCounters } from "./pin_counters.ts";
import { PinLine, type PinRequest } from "./pin_line.ts";
import {
  checkPins,
  keyNotice,
  pinProblem,
  readableModel,
} from "./pin_checks.ts";
import { type LinkedPin, type PinRule, PinSession } from "./pin_session.ts";
import { QmpClient } from "./qmp.ts";
import { QtestClient } from "./qtest.ts";

/** One line of the exposure. */
export interface QemuLine {
  readonly port: LinePort;
  /** What the guest may make of the line; looked at whenever it matters. */
  readonly rule: PinRule;
  /**
   * How long after the line did not take `level`, which the guest drives, that
   * is tried again; undefined: not at all. Absent: always after a second.
   * **Units**: milliseconds.
   */
  retryMs?(level: number): number | undefined;
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
  /** Something that is as it should be and may surprise; told once. */
  notice(text: string): void;
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
  /**
   * Whether the guest of an earlier process may yet come back, and the lines
   * are as it left them. Absent: there was none.
   */
  readonly awaitsGuest?: () => boolean;
  /**
   * The guest that was awaited does not drive a line any more that it did:
   * called like `onGuestGone`, for this line alone.
   */
  readonly onLineLeft?: (lineNumber: number) => void;
  readonly events: QemuPinsEvents;
  /** The clock to measure requests by; absent: nobody measures them. */
  readonly now?: () => number;
}

/** The switch of QEMU's that makes a socket. */
type SocketOption = "qmp" | "qtest";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
/** How long a QEMU that never was there may stay away without a word. */
const ABSENCE_MS = 5000;
/** How soon a line is tried again that did not do what its guest wants. */
const LINE_RETRY_MS = 1000;
/** Run states of QEMU's in which it tells that the guest goes on by `RESUME`. */
const RESTING: ReadonlySet<unknown> = new Set([
  "debug",
  "finish-migrate",
  "inmigrate",
  "io-error",
  "paused",
  "postmigrate",
  "prelaunch",
  "restore-vm",
  "save-vm",
]);

/** A controller that was found, and what is to be tied to it. */
interface Link {
  readonly controller: Controller;
  readonly pins: readonly LinkedPin[];
  /** What is known of its registers, if they can be read. */
  readonly model: ControllerModel | undefined;
}

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
  #link: Link | undefined;
  /** Runs out unless a QEMU is there. */
  #absence: Timer | undefined;
  #retry: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #isConnected = false;
  /** The last words of a QEMU that is gone are being read. */
  #isEnding = false;
  #lastFault = "";
  /** Pins that this QEMU did not take a level for, by their properties. */
  readonly #refused = new Set<string>();
  #lastNotice = "";
  #isOver = false;

  /**
   * Makes the exposure and attaches it to the lines; the first attempt to
   * connect comes in the loop's next turn.
   *
   * @throws {RangeError} If `pins` names a line that there is not, or one twice.
   */
  constructor(options: QemuPinsOptions) {
    checkPins(options.lines.length, options.pins ?? []);
    this.#options = options;
    this.counters = new PinCounters(options.lines.length);
    const { lostRequests } = this.counters;
    this.#lines = options.lines.map((line, lineNumber) =>
      new PinLine(lineNumber, line.port, {
        level: (lineNumber, level) =>
          this.#session?.lineChanged(lineNumber, level),
        answered: (lineNumber, request, isOk, since) =>
          options.events.answered(lineNumber, request, isOk, since),
        dropped: () => {
          lostRequests[lineNumber] = lostRequests[lineNumber]! + 1;
        },
      }, {
        loop: options.loop,
        delayMs: (level) =>
          line.retryMs === undefined ? LINE_RETRY_MS : line.retryMs(level),
      })
    );
    for (const [lineNumber, { port }] of options.lines.entries()) {
      port.attach(this, lineNumber);
    }
    options.loop.defer(() => this.#connect());
    this.#absence = options.loop.after(ABSENCE_MS, () => this.#missed());
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
    this.#absence?.[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    this.#disconnect("");
  }

  #connect(): void {
    if (this.#isOver) return;
    const { loop, qmpPath } = this.#options;
    const fd = this.#open("qmp", qmpPath);
    if (fd === undefined) return this.#connectLater();
    this.#absence?.[Symbol.dispose]();
    const qmp = new QmpClient(loop, fd, {
      ready: () => this.#find(),
      event: (name) => this.#heard(name),
      drained: () => this.#session?.drained(qmp),
      closed: (reason) => this.#ended(`${qmpPath}: ${reason}`),
      failed: (reason) => this.#failed("qmp", qmpPath, reason),
    });
    this.#qmp = qmp;
  }

  /** No QEMU has ever been there: that may be a wrong path. */
  #missed(): void {
    const { qmpPath } = this.#options;
    this.#fault(
      new QemuError(`${qmpPath}: no QEMU listens there yet`, {
        hint: socketHint("qmp", qmpPath),
      }),
    );
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
        if (controller === undefined) return this.#fault(error!);
        const pins = this.#pinsOf(controller);
        if (pins === undefined) return;
        this.#notice(keyNotice(controller, pins));
        this.#link = { controller, pins, model: readableModel(controller) };
        this.#begin();
      },
    );
  }

  /** Ties lines and pins, as far as the guest is there. */
  #begin(): void {
    this.#qmp!.execute("query-status", {}, (result) => {
      const { status } = (result ?? {}) as { status?: unknown };
      const session = this.#openSession();
      if (session === undefined) return;
      this.#isConnected = true;
      this.#retryMs = FIRST_RETRY_MS;
      this.#lastFault = "";
      this.#refused.clear();
      this.#options.events.connected();
      if (status === "shutdown") {
        session.halt();
        if (this.#options.awaitsGuest?.() === true) this.#leaveLines();
      } else if (RESTING.has(status)) session.rest();
      session.start();
    });
  }

  /** Opens qtest, with what is to be done there. */
  #openSession(): PinSession | undefined {
    const { loop, qtestPath, awaitsGuest, onLineLeft } = this.#options;
    const { controller, pins, model } = this.#link!;
    const fd = this.#open("qtest", qtestPath);
    if (fd === undefined) {
      this.#lost(`${qtestPath}: it is not there`);
      return undefined;
    }
    const qtest = new QtestClient(loop, fd, {
      pin: (number, level) => {
        this.counters.reports++;
        this.#session?.pinChanged(number, level);
      },
      drained: () => this.#session?.drained(qtest),
      closed: (reason) => this.#ended(`${qtestPath}: ${reason}`),
      failed: (reason) => this.#failed("qtest", qtestPath, reason),
    });
    this.#qtest = qtest;
    const session = new PinSession({
      loop,
      qmp: this.#qmp!,
      qtest,
      controller,
      banks: model?.banks,
      pins,
      counters: this.counters,
      now: this.#options.now ?? (() => 0),
      isAwaited: awaitsGuest ?? (() => false),
      onLeft: onLineLeft ?? (() => {}),
      onTurned: (lineNumber, isOutput, since) => {
        const { events } = this.#options;
        events.answered(lineNumber, "set_direction", !isOutput, since);
        if (isOutput) events.refused(lineNumber);
      },
      onLinked: () => this.#options.events.started(),
      onFailed: (reason) => this.#fault(new QemuError(reason)),
      onRefused: (property, reason) => {
        if (this.#refused.has(property)) return;
        this.#refused.add(property);
        this.#options.events.fault(new QemuError(reason));
      },
    });
    this.#session = session;
    return session;
  }

  /** The guest begins anew, with pins that are low. */
  #restart(): void {
    const { controller, model } = this.#link!;
    if (model?.reportsReset === true || controller.outputs === 0) {
      return this.#session!.reset();
    }
    // QEMU forgets what it takes the pins for when somebody connects, and what
    // it reported before the reset is not heard any more.
    this.#session![Symbol.dispose]();
    this.#qtest![Symbol.dispose]();
    this.#openSession()?.start();
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
        return this.#isEnding ? session.stop() : this.#restart();
      case "SHUTDOWN":
        // What the guest did before has been reported before.
        this.#qtest!.drain();
        if (this.#session !== session) return;
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
    if (this.#isEnding) return;
    this.#disconnect(reason);
    if (!this.#isOver) this.#connectLater();
  }

  /** QEMU has closed a connection: takes what it said before on both. */
  #ended(reason: string): void {
    this.#isEnding = true;
    this.#qmp?.drain();
    this.#qtest?.drain();
    this.#session?.finish();
    this.#isEnding = false;
    this.#lost(reason);
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

  #notice(text: string): void {
    if (text === "" || text === this.#lastNotice) return;
    this.#lastNotice = text;
    this.#options.events.notice(text);
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
