/**
 * Exposure of an aggregator as GPIO adapters on USB, which unmodified kernels
 * have drivers for. QEMU carries the transfers of its guest over a socket
 * (usb-redir), which it connects to, or listens at.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { PeerProcess } from "../peer/peer_process.ts";
import { PeerServer } from "../peer/peer_server.ts";
import { QemuError } from "../qemu/errors.ts";
import { connectToQemu, stickyDirectoryOf } from "../qemu/qemu_socket.ts";
import type { EventLoop, Timer, TimeShare } from "../reactor/event_loop.ts";
import type { UsbDevice } from "../usb/core/transfers.ts";
import { UsbredirSession } from "./session.ts";
import { NO_HELLO } from "./wire.ts";

/** Receiver of what happens at one adapter's socket. */
export interface UsbredirEvents {
  connected(detail: string): void;
  disconnected(reason: string): void;
  /** A peer waits; `who` names it and the peer that is served. */
  waiting(who: string): void;
  /** Something is not as it should be; told once until it is. */
  fault(message: string): void;
}

/** Parts of one adapter's socket. */
export interface UsbredirOptions {
  readonly loop: EventLoop;
  /** Time of all QEMUs in the loop; absent: a share of their own. */
  readonly share?: TimeShare;
  /** **Ownership**: borrowed. */
  readonly device: UsbDevice;
  readonly events: UsbredirEvents;
}

/** One adapter's place, for one QEMU after another. */
export interface UsbredirSocket extends Disposable {
  /** Ends what a QEMU has begun; the next one is served. */
  endSession(reason: string): void;
}

/** A peer that broke the protocol, for people. */
function brokenBy(peer: PeerProcess, reason: string): string {
  return `${peer.title} does not speak usbredir: ${reason}`;
}

/**
 * Serves one QEMU after another that connects to a socket of ours.
 *
 * **Ownership**: owns the listener.
 *
 * @throws {OsError} If the listener cannot be watched; it is closed then.
 */
export function serveUsbredir(
  options: UsbredirOptions & { readonly listener: OwnedFd },
): UsbredirSocket {
  const { loop, device, events, listener } = options;
  return new PeerServer({
    loop,
    ...options.share === undefined ? {} : { share: options.share },
    endpoint: { listener },
    events: {
      connected: () => events.connected(""),
      disconnected: (reason) => events.disconnected(reason),
      waiting: (who) => events.waiting(who),
      fault: (error) => events.fault(error.message),
    },
    begin: ({ connection, peer, share, onEnd }) =>
      new UsbredirSession({
        loop,
        share,
        connection,
        device,
        onEnd: (reason, isFault) => {
          if (isFault && reason !== NO_HELLO) {
            events.fault(brokenBy(peer, reason));
          }
          onEnd(reason, false);
        },
      }),
  });
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
/** Time that a QEMU that never was there may stay away without a report. */
const ABSENCE_MS = 5000;

/**
 * Connects to one QEMU after another that listens, for ever.
 *
 * **Ownership**: owns its connection.
 */
export class UsbredirConnector implements UsbredirSocket {
  readonly #options: UsbredirOptions & {
    readonly path: string;
    readonly allowed?: readonly string[];
  };
  readonly #share: TimeShare;
  #session: UsbredirSession | undefined;
  #retry: Timer | undefined;
  #absence: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #lastFault = "";
  #isJudged = false;
  #isOver = false;

  /**
   * Begins; the first attempt comes in the loop's next turn.
   *
   * @param options `allowed`: directories that the path must lie in, if an API
   * client named it; absent: an administrator did.
   */
  constructor(
    options: UsbredirOptions & {
      readonly path: string;
      readonly allowed?: readonly string[];
    },
  ) {
    this.#options = options;
    this.#share = options.share ?? options.loop.share();
    options.loop.defer(() => this.#connect());
    this.#absence = options.loop.after(ABSENCE_MS, () => this.#missed());
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#absence?.[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    this.#session?.[Symbol.dispose]();
  }

  endSession(reason: string): void {
    this.#session?.end(reason);
  }

  #connect(): void {
    if (this.#isOver) return;
    const connection = this.#open();
    if (connection === undefined) return this.#connectLater();
    this.#absence?.[Symbol.dispose]();
    const { loop, device, events } = this.#options;
    const peer = PeerProcess.of(connection.fd);
    const session = new UsbredirSession({
      loop,
      share: this.#share,
      connection,
      device,
      onEnd: (reason, isFault) => {
        this.#session = undefined;
        if (isFault && reason !== NO_HELLO) {
          this.#fault(brokenBy(peer, reason));
        } else if (!session.isIdle) {
          this.#lastFault = "";
          this.#retryMs = FIRST_RETRY_MS;
        }
        events.disconnected(reason);
        if (!this.#isOver) this.#connectLater();
      },
    });
    this.#session = session;
    events.connected(this.#notice());
  }

  /** Tells of a place where another user can come before QEMU, once. */
  #notice(): string {
    if (this.#isJudged) return "";
    this.#isJudged = true;
    const directory = stickyDirectoryOf(this.#options.path);
    return directory === undefined
      ? ""
      : `every user may put a socket into ${directory} before QEMU does; use ` +
        `a directory for QEMU alone`;
  }

  #open(): OwnedFd | undefined {
    const { path, allowed } = this.#options;
    try {
      return connectToQemu(path, allowed);
    } catch (error) {
      if (error instanceof QemuError) {
        this.#fault(
          error.hint === "" ? error.message : `${error.message}. ${error.hint}`,
        );
      } else if (!isOsError(error)) throw error;
      else if (error.code === "EAGAIN") {
        this.#fault(`${path}: another program is connected to it`);
      } else if (error.code !== "ENOENT" && error.code !== "ECONNREFUSED") {
        this.#fault(`Cannot connect to QEMU: ${error.message}`);
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

  #missed(): void {
    const { path } = this.#options;
    this.#fault(
      `${path}: no QEMU listens there yet. QEMU makes it with -chardev ` +
        `socket,path=${path},server=on,wait=off,… and -device usb-redir,…`,
    );
  }

  #fault(message: string): void {
    if (message === this.#lastFault) return;
    this.#lastFault = message;
    this.#options.events.fault(message);
  }
}
