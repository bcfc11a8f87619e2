/**
 * GPIO adapters on USB for the guest of a QEMU, which carries its transfers over
 * a socket (usb-redir) that it connects to, or listens at.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { PeerProcess } from "../peer/peer_process.ts";
import { QemuError } from "../qemu/errors.ts";
import { QemuConnector, type QemuSocket } from "../qemu/qemu_connector.ts";
import type { TimeShare } from "../reactor/event_loop.ts";
import {
  type AdapterOptions,
  type AdapterSocket,
  describeViolation,
  type UsbProtocol,
} from "../usb_host/adapter_server.ts";
import { UsbSession } from "../usb_host/session.ts";
import { UsbredirWire } from "./wire.ts";
import { NO_HELLO } from "./protocol.ts";

/** Wire of a QEMU. */
export const USBREDIR: UsbProtocol = {
  name: "usbredir",
  makeWire: (device, onOutput, onChange) =>
    new UsbredirWire(device, onOutput, onChange),
  isFault: (reason) => reason !== NO_HELLO,
};

/** Sessions in a row without a hello, after which that is a fault. */
const MAX_SILENT = 2;

/** Parts of a {@linkcode UsbredirConnector}. */
interface UsbredirConnectorOptions extends AdapterOptions {
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
export class UsbredirConnector implements AdapterSocket {
  readonly #options: UsbredirConnectorOptions;
  readonly #connector: QemuConnector;
  readonly #socket: QemuSocket;
  readonly #share: TimeShare;
  #session: UsbSession | undefined;
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
      isBegun: options.resumed !== undefined,
      fault: ({ message, hint }) =>
        events.fault(hint === "" ? message : `${message}. ${hint}`),
      notice: (text) => {
        this.#notice = text;
      },
    });
    const { resumed } = options;
    if (resumed !== undefined) this.#begin(resumed.connection, resumed.state);
  }

  [Symbol.dispose](): void {
    this.#connector[Symbol.dispose]();
    this.#session?.[Symbol.dispose]();
  }

  endSession(reason: string): void {
    this.#session?.end(reason);
  }

  keep(): void {
    this.#session?.keep();
  }

  #begin(connection: OwnedFd, resumed?: unknown): void {
    const { loop, device, events, journal } = this.#options;
    const peer = PeerProcess.of(connection.fd);
    let isGreeted = resumed !== undefined;
    if (isGreeted) events.connected("");
    this.#session = new UsbSession({
      loop,
      share: this.#share,
      connection,
      device,
      makeWire: USBREDIR.makeWire,
      resumed,
      journal,
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

  /** Reports a peer that is not a QEMU. */
  #judge(
    peer: PeerProcess,
    reason: string,
    isFault: boolean,
    isGreeted: boolean,
  ): void {
    const { path, hint } = this.#socket;
    this.#silent = isGreeted ? 0 : this.#silent + 1;
    if (isFault && USBREDIR.isFault(reason)) {
      this.#connector.fault(
        new QemuError(describeViolation(peer, USBREDIR, reason)),
      );
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
