/**
 * Exposure of an aggregator as GPIO adapters on USB, which unmodified kernels
 * have drivers for. QEMU carries the transfers of its guest over a socket
 * (usb-redir), which it connects to, or listens at.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { PeerProcess } from "../peer/peer_process.ts";
import { PeerServer } from "../peer/peer_server.ts";
import { QemuError } from "../qemu/errors.ts";
import { QemuConnector, type QemuSocket } from "../qemu/qemu_connector.ts";
import type { EventLoop, TimeShare } from "../reactor/event_loop.ts";
import type { UsbDevice } from "../usb/core/transfers.ts";
import { type MakeWire, UsbredirSession } from "./session.ts";
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
  options: UsbredirOptions & {
    readonly listener: OwnedFd;
    readonly makeWire?: MakeWire | undefined;
  },
): UsbredirSocket {
  const { loop, device, events, listener, makeWire } = options;
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
        makeWire,
        onEnd: (reason, isFault) => {
          if (isFault && reason !== NO_HELLO) {
            events.fault(brokenBy(peer, reason));
          }
          onEnd(reason, false);
        },
      }),
  });
}

/** Sessions in a row without a hello, after which that is a fault. */
const MAX_SILENT = 2;

/** Parts of a {@linkcode UsbredirConnector}. */
export interface UsbredirConnectorOptions extends UsbredirOptions {
  /** Path of the socket that QEMU listens at. */
  readonly path: string;
  /**
   * Directories that the path must lie in, if an API client named it; absent:
   * an administrator did.
   */
  readonly allowed?: readonly string[];
}

/**
 * Connects to one QEMU after another that listens, for ever. A QEMU counts as
 * connected once it has said hello, which it does when its machine runs.
 *
 * **Ownership**: owns its connection.
 */
export class UsbredirConnector implements UsbredirSocket {
  readonly #options: UsbredirConnectorOptions;
  readonly #connector: QemuConnector;
  readonly #socket: QemuSocket;
  readonly #share: TimeShare;
  #session: UsbredirSession | undefined;
  #notice = "";
  #silent = 0;

  /** Begins; the first attempt comes in the loop's next turn. */
  constructor(options: UsbredirConnectorOptions) {
    const { loop, path, allowed, events } = options;
    this.#options = options;
    this.#share = options.share ?? loop.share();
    this.#socket = {
      path,
      hint: `QEMU makes it with -chardev socket,path=${path},server=on,` +
        `wait=off,… and -device usb-redir,…`,
    };
    this.#connector = new QemuConnector({
      loop,
      socket: this.#socket,
      allowed,
      begin: (connection) => this.#begin(connection),
      fault: ({ message, hint }) =>
        events.fault(hint === "" ? message : `${message}. ${hint}`),
      notice: (text) => {
        this.#notice = text;
      },
    });
  }

  [Symbol.dispose](): void {
    this.#connector[Symbol.dispose]();
    this.#session?.[Symbol.dispose]();
  }

  endSession(reason: string): void {
    this.#session?.end(reason);
  }

  #begin(connection: OwnedFd): void {
    const { loop, device, events } = this.#options;
    const peer = PeerProcess.of(connection.fd);
    let isGreeted = false;
    this.#session = new UsbredirSession({
      loop,
      share: this.#share,
      connection,
      device,
      onHello: () => {
        isGreeted = true;
        events.connected(this.#notice);
        this.#notice = "";
      },
      onEnd: (reason, isFault) => {
        this.#session = undefined;
        this.#judge(peer, reason, isFault, isGreeted);
        if (isGreeted) events.disconnected(reason);
        this.#connector.connectLater();
      },
    });
  }

  /** Reports a peer that is no QEMU. */
  #judge(
    peer: PeerProcess,
    reason: string,
    isFault: boolean,
    isGreeted: boolean,
  ): void {
    const { path, hint } = this.#socket;
    this.#silent = isGreeted ? 0 : this.#silent + 1;
    if (isFault && reason !== NO_HELLO) {
      this.#connector.fault(new QemuError(brokenBy(peer, reason)));
    } else if (isGreeted) {
      this.#connector.succeeded();
    } else if (this.#silent >= MAX_SILENT) {
      // A QEMU may end before its machine runs, or have been restored: once.
      this.#connector.fault(
        new QemuError(`${path}: no hello of a QEMU: ${reason}`, { hint }),
      );
    }
  }
}
