/**
 * Exposure of an aggregator as the pins of a GPIO controller that an unmodified
 * QEMU emulates: a guest with a driver for that controller has the lines.
 *
 * Two sockets of QEMU are used, both made by QEMU: QMP, to find the controller
 * and to be notified of resets, and qtest, a testing interface that observes
 * and drives pins beside a running guest. Neither checks its client: only QEMU
 * and gpioagg may have access to their sockets.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { closeConnection } from "../../ffi/socket_message.ts";
import type { QemuPin } from "../config/specification.ts";
import type { TimeShare } from "../reactor/event_loop.ts";
import type { LineListener } from "../line/port.ts";
import type { ControllerModel } from "./controllers.ts";
import { QemuError } from "./errors.ts";
import { type Controller, findController } from "./find_controller.ts";
import { KeptPins, type KeptQemu } from "./kept_pins.ts";
import { PinCounters } from "./pin_counters.ts";
import { PinLine } from "../line/pin_line.ts";
import {
  checkPins,
  keyNotice,
  pinProblem,
  readableModel,
} from "./pin_checks.ts";
import { PinSession } from "./pin_session.ts";
import type { QemuPinsOptions } from "./pins_options.ts";
import type { LinkedPin } from "./session_pin.ts";
import { QemuConnector, type QemuSocket } from "./qemu_connector.ts";
import { QmpClient } from "./qmp.ts";
import { QtestClient, type QtestListener } from "./qtest.ts";

/** Interval of retries at a line that did not take the guest's level. */
const LINE_RETRY_MS = 1000;
/** Run states of QEMU in which `RESUME` reports that the guest continues. */
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

/** Run states that events lead to. */
const STATUS_AFTER: ReadonlyMap<string, string> = new Map([
  ["RESET", "running"],
  ["RESUME", "running"],
  ["SHUTDOWN", "shutdown"],
  ["STOP", "paused"],
]);

/** A controller that was found, and what is to be tied to it. */
interface Link {
  readonly controller: Controller;
  readonly pins: readonly LinkedPin[];
  /** Known registers, if they can be read. */
  readonly model: ControllerModel | undefined;
}

/**
 * Ties lines to pins of the running QEMU; waits for one if there is none. All
 * its work is done in the loop.
 *
 * **Ownership**: borrows the lines. Disposing disconnects from QEMU and, as
 * with a QEMU that ends, notifies the lines that their guest is gone.
 */
export class QemuPins implements LineListener, Disposable {
  /** Counters since the start. */
  readonly counters: PinCounters;
  readonly #options: QemuPinsOptions;
  readonly #lines: readonly PinLine[];
  /** QEMU's share of the loop's time, on both sockets. */
  readonly #share: TimeShare;
  #qmp: QmpClient | undefined;
  #qtest: QtestClient | undefined;
  #session: PinSession | undefined;
  #link: Link | undefined;
  readonly #connector: QemuConnector;
  readonly #sockets: { readonly qmp: QemuSocket; readonly qtest: QemuSocket };
  /** Keeps the session, if there is a store. */
  readonly #kept: KeptPins | undefined;
  /** Connection of an earlier process to qtest, until it is used. */
  #leftQtest: OwnedFd | undefined;
  /** The session is that of an earlier process. */
  #isContinued = false;
  /** The guest was reset before it was known what it drives. */
  #wasReset = false;
  /** A command was sent in part: this session ends with the process. */
  #isCut = false;
  #isConnected = false;
  /** QEMU's run state, until `isConnected`. */
  #status: unknown;
  /** The last messages of a QEMU that has ended are being read. */
  #isEnding = false;
  /** Pins that this QEMU accepted no level for, by their properties. */
  readonly #refused = new Set<string>();
  #lastNotice = "";
  #isOver = false;

  /**
   * Makes the exposure and attaches it to the lines; the first attempt to
   * connect comes in the loop's next turn.
   *
   * @throws {RangeError} If `pins` names a line that does not exist, or one
   * twice.
   * @throws {OsError} If there are no descriptors for the `store`.
   */
  constructor(options: QemuPinsOptions) {
    checkPins(options.lines.length, options.pins ?? []);
    this.#options = options;
    this.#share = options.share ?? options.loop.share();
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
    const { loop, allowed, qmpPath, qtestPath, events } = options;
    this.#sockets = {
      qmp: describeSocket("qmp", qmpPath),
      qtest: describeSocket("qtest", qtestPath),
    };
    const { store } = options;
    this.#kept = store && new KeptPins(store, describeIdentity(options));
    const kept = this.#kept?.take();
    this.#connector = new QemuConnector({
      loop,
      isBegun: kept !== undefined,
      socket: this.#sockets.qmp,
      otherPaths: [qtestPath],
      allowed,
      begin: (connection) => this.#reached(connection),
      fault: (error) => events.fault(error),
      notice: (text) => this.#notice(text),
    });
    if (kept !== undefined) this.#resume(kept);
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
    this.#connector[Symbol.dispose]();
    this.#disconnect("");
    this.#kept?.[Symbol.dispose]();
  }

  #reached(connection: OwnedFd): void {
    this.#openQmp(connection, () => this.#find());
  }

  /** Goes on with the QEMU of an earlier process. */
  #resume({ qmp, qtest, controller }: KeptQemu): void {
    this.#leftQtest = qtest;
    this.#isContinued = true;
    const pins = this.#linkPins(controller);
    if (pins === undefined) {
      closeConnection(qmp);
      return this.#lost("");
    }
    this.#link = { controller, pins, model: readableModel(controller) };
    // Before any request: the next connection must not receive its answer.
    this.#kept!.keep({ qmp: qmp.fd, qtest: qtest.fd }, controller, false);
    const isBegun = this.#connector.open(
      this.#sockets.qmp,
      (connection) => {
        this.#openQmp(connection, () => this.#begin(), this.#kept!.generation);
        return true;
      },
      false,
      qmp,
    );
    if (isBegun !== true) this.#lost("");
  }

  /** Speaks QMP on a connection. */
  #openQmp(connection: OwnedFd, ready: () => void, generation = 0): void {
    const { loop, qmpPath } = this.#options;
    const qmp = new QmpClient(loop, connection, this.#share, {
      ready,
      cut: () => this.#cut(),
      event: (name) => this.#handleEvent(name),
      drained: () => this.#session?.drained(qmp),
      closed: (reason) => this.#ended(`${qmpPath}: ${reason}`),
      failed: (reason) => this.#failed(this.#sockets.qmp, reason),
    }, generation);
    this.#qmp = qmp;
  }

  #find(): void {
    const { device, index } = this.#options;
    findController(
      this.#qmp!,
      { device, ...(index === undefined ? {} : { index }) },
      (controller, error) => {
        // Nothing more to do; the connection stays open so that this QEMU's
        // exit is noticed.
        if (controller === undefined) return this.#connector.fault(error!);
        const pins = this.#linkPins(controller);
        if (pins === undefined) return;
        this.#notice(keyNotice(controller, pins));
        this.#link = { controller, pins, model: readableModel(controller) };
        this.#begin();
      },
    );
  }

  /** Ties lines and pins, if the guest is ready. */
  #begin(): void {
    this.#qmp!.execute("query-status", {}, (result) => {
      const { status } = (result ?? {}) as { status?: unknown };
      this.#status = status;
      this.#openSession((session) => this.#beginSession(session));
    });
  }

  /** Both sockets are those of a QEMU that has the controller. */
  #beginSession(session: PinSession): void {
    this.#isConnected = true;
    this.#keep();
    this.#connector.succeeded();
    this.#refused.clear();
    this.#options.events.connected();
    if (this.#wasReset) {
      // The guest that an earlier process served is gone.
      this.#wasReset = false;
      this.#guestGone();
      if (this.#mustForget) return this.#restart();
    }
    if (this.#status === "shutdown") {
      session.halt();
      if (this.#options.awaitsGuest?.() === true) this.#leaveLines();
    } else if (RESTING.has(this.#status)) session.rest();
    session.start();
  }

  /** Keeps the session as it is. */
  #keep(): void {
    if (this.#isCut) return;
    const fds = { qmp: this.#qmp!.fd, qtest: this.#qtest!.fd };
    this.#kept?.keep(fds, this.#link!.controller, true);
  }

  #cut(): void {
    this.#isCut = true;
    this.#kept?.forget();
  }

  /**
   * Opens qtest with the work to do there; `onReady` is called once the peer
   * has shown that it speaks qtest.
   */
  #openSession(onReady: (session: PinSession) => void): void {
    const { loop, qtestPath, awaitsGuest, onLineLeft, events } = this.#options;
    const { controller, pins, model } = this.#link!;
    const listener: QtestListener = {
      ready: () => onReady(session),
      pin: (number, level) => {
        this.counters.reports++;
        this.#session?.pinChanged(number, level);
      },
      drained: () => this.#session?.drained(qtest!),
      closed: (reason) => this.#ended(`${qtestPath}: ${reason}`),
      failed: (reason) => this.#failed(this.#sockets.qtest, reason),
      cut: () => this.#cut(),
    };
    const left = this.#leftQtest;
    this.#leftQtest = undefined;
    const isLeft = left !== undefined;
    const qtest = this.#connector.open(
      this.#sockets.qtest,
      (connection) =>
        new QtestClient(loop, connection, this.#share, listener, isLeft),
      true,
      left,
    );
    if (qtest === undefined) {
      return this.#lost(`${qtestPath}: it cannot be connected to`);
    }
    this.#qtest = qtest;
    const isContinued = this.#isContinued && !this.#wasReset;
    const session = new PinSession({
      loop,
      share: this.#share,
      qmp: this.#qmp!,
      qtest,
      controller,
      banks: model?.banks,
      pins,
      counters: this.counters,
      now: this.#options.now ?? (() => 0),
      isAwaited: awaitsGuest ?? (() => false),
      isContinued,
      onLeft: onLineLeft ?? (() => {}),
      onTurned: (lineNumber, isOutput, since) => {
        events.answered(lineNumber, "set_direction", !isOutput, since);
        if (isOutput) events.refused(lineNumber);
      },
      onLinked: () => events.started(isContinued && this.#isContinued),
      onFailed: (reason) => this.#connector.fault(new QemuError(reason)),
      onRefused: (property, reason) => {
        if (this.#refused.has(property)) return;
        this.#refused.add(property);
        events.fault(new QemuError(reason));
      },
    });
    this.#session = session;
  }

  /** QEMU does not report that a reset lowers the pins. */
  get #mustForget(): boolean {
    const { controller, model } = this.#link!;
    return model?.reportsReset !== true && controller.outputs > 0;
  }

  /** The guest starts anew, with pins that are low. */
  #restart(): void {
    this.#isContinued = false;
    if (!this.#mustForget) return this.#session!.reset();
    // QEMU forgets the pins' levels when a client connects, and its reports
    // from before the reset are not read any more.
    // A copy of the connection would keep it open.
    this.#kept?.forget();
    this.#session![Symbol.dispose]();
    this.#qtest![Symbol.dispose]();
    this.#openSession((session) => {
      this.#keep();
      session.start();
    });
  }

  /** Returns the pins of the lines; reports a fault if that is impossible. */
  #linkPins(controller: Controller): LinkedPin[] | undefined {
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
        this.#connector.fault(
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

  #handleEvent(event: string): void {
    if (!this.#isConnected) {
      // The peer at qtest has not identified itself yet.
      this.#status = STATUS_AFTER.get(event) ?? this.#status;
      if (event === "RESET") this.#wasReset = this.#isContinued;
      return;
    }
    const session = this.#session;
    if (session === undefined) return;
    switch (event) {
      case "RESET":
        this.#guestGone();
        return this.#isEnding ? session.stop() : this.#restart();
      case "SHUTDOWN":
        // The guest's earlier changes have been reported before.
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

  /** A socket is not the expected one: reported, unless its end reports it. */
  #failed({ path, hint }: QemuSocket, reason: string): void {
    const text = `${path}: ${reason}`;
    if (!this.#isConnected) {
      this.#connector.fault(new QemuError(text, { hint }));
    }
    this.#lost(text);
  }

  #lost(reason: string): void {
    if (this.#isEnding) return;
    this.#disconnect(reason);
    this.#connector.connectLater();
  }

  /** QEMU has closed a connection: its earlier messages on both are read. */
  #ended(reason: string): void {
    this.#isEnding = true;
    this.#qmp?.drain();
    this.#qtest?.drain();
    this.#session?.finish();
    this.#isEnding = false;
    // The QEMU of an earlier process has ended with its guest.
    if (this.#isContinued && !this.#isConnected) this.#leaveLines();
    this.#lost(reason);
  }

  #disconnect(reason: string): void {
    this.#kept?.over();
    if (this.#leftQtest !== undefined) closeConnection(this.#leftQtest);
    this.#leftQtest = undefined;
    this.#isContinued = false;
    this.#wasReset = false;
    this.#isCut = false;
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
}

/** Returns what a session must be about to go on in this process. */
function describeIdentity(
  { qmpPath, qtestPath, device, index, pins, identity = "" }: QemuPinsOptions,
): string {
  return JSON.stringify([qmpPath, qtestPath, device, index, pins, identity]);
}

/** Returns a socket with the option of QEMU that makes it. */
function describeSocket(option: "qmp" | "qtest", path: string): QemuSocket {
  return {
    path,
    hint:
      `QEMU makes it with -${option} unix:${path},server=on,wait=off, for ` +
      `gpioagg alone`,
  };
}
