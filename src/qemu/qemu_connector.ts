/**
 * Connects to a socket of one QEMU after another, for ever: QEMU makes it, and
 * removes it at its end.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { QemuError } from "./errors.ts";
import { connectToQemu, findStickyDirectory } from "./qemu_socket.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
/** Time for which the first QEMU may be missing without a report. */
const ABSENCE_MS = 5000;

/** A socket that QEMU makes. */
export interface QemuSocket {
  readonly path: string;
  /** Arguments with which QEMU makes it, for people. */
  readonly hint: string;
}

/** Parts of a connector. */
interface QemuConnectorOptions {
  readonly loop: EventLoop;
  /** The socket to connect to. */
  readonly socket: QemuSocket;
  /** Other sockets of the same QEMU, which the owner opens. */
  readonly otherPaths?: readonly string[];
  /**
   * Directories that all sockets must be in, if an API client named them;
   * absent: an administrator did.
   */
  readonly allowed: readonly string[] | undefined;
  /**
   * QEMU accepts. The owner calls `connectLater` when that is over.
   *
   * **Ownership**: takes the connection over, also when it throws.
   *
   * @throws {OsError} If the connection cannot be used; it is tried again.
   */
  begin(connection: OwnedFd): void;
  /** True if a connection of an earlier process goes on: `connectLater` follows. */
  readonly isBegun?: boolean;
  /** A problem; reported once until `succeeded`. */
  fault(error: QemuError): void;
  /** An unexpected, but valid state; reported once. */
  notice(text: string): void;
}

/** The connector. Disposing ends its attempts, not the owner's connections. */
export class QemuConnector implements Disposable {
  readonly #options: QemuConnectorOptions;
  /** Expires unless QEMU is there. */
  #absence: Timer | undefined;
  #retry: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #lastFault = "";
  /** Directories were checked. */
  #isJudged = false;
  #isOver = false;

  /** Begins; the first attempt comes in the loop's next turn. */
  constructor(options: QemuConnectorOptions) {
    this.#options = options;
    if (options.isBegun === true) return;
    options.loop.defer(() => this.#connect());
    this.#absence = options.loop.after(ABSENCE_MS, () => this.#missed());
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#absence?.[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
  }

  /** Connects again, after each attempt a little later until `succeeded`. */
  connectLater(): void {
    if (this.#isOver) return;
    this.#retry?.[Symbol.dispose]();
    this.#retry = this.#options.loop.after(
      this.#retryMs,
      () => this.#connect(),
    );
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  /** QEMU is as it should be: what is wrong later is reported again. */
  succeeded(): void {
    this.#retryMs = FIRST_RETRY_MS;
    this.#lastFault = "";
  }

  /** Reports a problem, unless it is the last one. */
  fault(error: QemuError): void {
    const text = `${error.message}. ${error.hint}`;
    if (text === this.#lastFault) return;
    this.#lastFault = text;
    this.#options.fault(error);
  }

  /**
   * Connects to a socket of QEMU, and makes something of the connection. What
   * prevents that is reported, unless QEMU is just not there.
   *
   * @param make Takes the connection over, also when it throws.
   * @param isExpected True if another socket of this QEMU exists, and both do
   * before it answers: its absence is a fault.
   * @param given A connection of an earlier process. **Ownership**: as of one
   * that is made.
   * @returns The result; undefined if there is none.
   */
  open<T>(
    { path, hint }: QemuSocket,
    make: (connection: OwnedFd) => T,
    isExpected = false,
    given?: OwnedFd,
  ): T | undefined {
    try {
      return make(given ?? connectToQemu(path, this.#options.allowed));
    } catch (error) {
      if (error instanceof QemuError) {
        this.fault(error);
        return undefined;
      }
      if (!isOsError(error)) throw error;
      const { code, message } = error;
      const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
      if (code === "EAGAIN") {
        this.#report(
          `${path}: another program is connected to it`,
          hint,
          error,
        );
      } else if (!isAbsent) {
        this.#report(`Cannot connect to QEMU: ${message}`, "", error);
      } else if (isExpected) {
        this.#report(`${path}: QEMU does not listen there`, hint, error);
      }
      return undefined;
    }
  }

  #report(problem: string, hint: string, cause?: unknown): void {
    this.fault(new QemuError(problem, { hint, cause }));
  }

  #connect(): void {
    if (this.#isOver) return;
    const isBegun = this.open(this.#options.socket, (connection) => {
      this.#judge();
      this.#options.begin(connection);
      return true;
    });
    if (isBegun !== true) return this.connectLater();
    this.#absence?.[Symbol.dispose]();
  }

  /** Reports directories in which another user can replace QEMU's sockets. */
  #judge(): void {
    if (this.#isJudged) return;
    this.#isJudged = true;
    const { socket, otherPaths = [] } = this.#options;
    const [directory] = [socket.path, ...otherPaths].flatMap((path) =>
      findStickyDirectory(path) ?? []
    );
    if (directory === undefined) return;
    this.#options.notice(
      `every user can put a socket into ${directory} before QEMU does; use a ` +
        `directory for QEMU alone`,
    );
  }

  /** No QEMU was ever there: the path may be wrong. */
  #missed(): void {
    // The same problem was reported before.
    if (this.#lastFault !== "") return;
    const { path, hint } = this.#options.socket;
    this.#report(`${path}: no QEMU listens there yet`, hint);
  }
}
