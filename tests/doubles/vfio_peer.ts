/**
 * A vfio-user client that sends any message in any order, well formed or not, in
 * the numbers of the specification written out once more. It shares no code with
 * the server under test.
 *
 * Both ends live in one thread: the peer writes, the test lets the reactor turn,
 * the peer reads.
 *
 * @module
 */
import { createEventFd, drainFd } from "../../ffi/event_fd.ts";
import { hangUp } from "../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { receive, send } from "../../ffi/socket_message.ts";

/** A reply, taken apart. */
export interface VfioReply {
  id: number;
  command: number;
  flags: number;
  errno: number;
  body: Uint8Array;
}

/** Command numbers, as the specification has them. */
export const C = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  DEVICE_GET_INFO: 4,
  DEVICE_GET_REGION_INFO: 5,
  DEVICE_GET_IRQ_INFO: 7,
  DEVICE_SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DEVICE_RESET: 13,
} as const;

/** Returns little-endian 32-bit words as bytes. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setUint32(4 * i, value, true));
  return bytes;
}

/** Body of a VERSION message. */
export function versionBody(major: number, minor: number, json = "{}") {
  const text = new TextEncoder().encode(`${json}\0`);
  const body = new Uint8Array(4 + text.length);
  new DataView(body.buffer).setUint16(0, major, true);
  new DataView(body.buffer).setUint16(2, minor, true);
  body.set(text, 4);
  return body;
}

/** One end of the socket. **Ownership**: owns it and its eventfd. */
export class VfioPeer implements Disposable {
  /** The eventfd of INTx. */
  readonly irq = createEventFd();
  #nextId = 1;
  readonly #socket: OwnedFd;

  constructor(socket: OwnedFd) {
    this.#socket = socket;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  /** Sends one message; `size` lies about its length. */
  send(
    command: number,
    body: Uint8Array = new Uint8Array(0),
    options: { flags?: number; size?: number; fds?: number[] } = {},
  ): number {
    const id = this.#nextId++ & 0xffff;
    const bytes = new Uint8Array(16 + body.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, id, true);
    view.setUint16(2, command, true);
    view.setUint32(4, options.size ?? bytes.length, true);
    view.setUint32(8, options.flags ?? 0, true);
    bytes.set(body, 16);
    this.sendBytes(bytes, options.fds);
    return id;
  }

  /** Sends bytes as they are. */
  sendBytes(bytes: Uint8Array, fds: number[] = []): void {
    try {
      send(this.#socket.fd, bytes, fds);
    } catch (error) {
      if (!isOsError(error, "EPIPE", "ECONNRESET")) throw error;
    }
  }

  /** Returns the next reply, "none", or "ended". */
  read(): VfioReply | "none" | "ended" {
    const head = new Uint8Array(16);
    try {
      const count = receive(this.#socket.fd, head, []);
      if (count < 0) return "none";
      if (count === 0) return "ended";
    } catch (error) {
      if (isOsError(error, "ECONNRESET")) return "ended";
      throw error;
    }
    const view = new DataView(head.buffer);
    const body = new Uint8Array(view.getUint32(4, true) - 16);
    for (let at = 0; at < body.length;) {
      const count = receive(this.#socket.fd, body.subarray(at), []);
      if (count <= 0) throw new Error("a reply ends in its middle");
      at += count;
    }
    return {
      id: view.getUint16(0, true),
      command: view.getUint16(2, true),
      flags: view.getUint32(8, true),
      errno: view.getUint32(12, true),
      body,
    };
  }

  /** Returns true if there was an interrupt since the last call. */
  takeInterrupt(): boolean {
    return drainFd(this.irq.fd) > 0;
  }

  [Symbol.dispose](): void {
    this.irq.close();
    hangUp(this.#socket);
  }
}
