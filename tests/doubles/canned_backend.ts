/**
 * A backend that answers from a list: the other end of a socket pair, with
 * the replies lying there before they are asked for. Frontend code is
 * synchronous, so a test can run both ends in one thread this way.
 *
 * @module
 */
import { duplicate } from "../../ffi/files.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";

/** A message as it came over the socket. */
export interface SeenMessage {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Number of file descriptors that came with it. */
  readonly fdCount: number;
}

/** One end of the pair; the other is the frontend's. */
export class CannedBackend implements Disposable {
  /** For the frontend, which owns it from when it is given. */
  readonly frontendSocket: OwnedFd;
  readonly #socket: OwnedFd;

  constructor() {
    [this.frontendSocket, this.#socket] = socketPair();
  }

  /** Lays a reply ready. `flags` is what a reply has unless told. */
  reply(
    request: number,
    payload: Uint8Array,
    options: { flags?: number; size?: number; fds?: readonly number[] } = {},
  ): void {
    const { flags = 5, size = payload.length, fds } = options;
    const message = new Uint8Array(12 + payload.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, request, true);
    view.setUint32(4, flags, true);
    view.setUint32(8, size, true);
    message.set(payload, 12);
    this.raw(message, fds);
  }

  /** Lays a reply of one 64-bit number ready. */
  replyU64(request: number, value: bigint): void {
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setBigUint64(0, value, true);
    this.reply(request, payload);
  }

  /** Lays any bytes ready. */
  raw(bytes: Uint8Array, fds: readonly number[] = []): void {
    const sent = send(this.#socket.fd, bytes, fds);
    if (sent !== bytes.length) throw new Error(`only ${sent} bytes were sent`);
  }

  /** Lays a GET_INFLIGHT_FD reply ready, with a region of `length` bytes. */
  replyInflight(length: number): void {
    using region = createMemFd("inflight", length);
    using copy = duplicate(region.fd);
    const payload = new Uint8Array(24);
    new DataView(payload.buffer).setBigUint64(0, BigInt(length), true);
    this.reply(31, payload, { fds: [copy.fd] });
  }

  /** Everything that the frontend has sent and that was not taken yet. */
  take(): SeenMessage[] {
    const seen: SeenMessage[] = [];
    for (;;) {
      const fds: OwnedFd[] = [];
      const header = this.#read(12, fds);
      if (header === undefined) return seen;
      const view = new DataView(header.buffer);
      const payload = this.#read(view.getUint32(8, true), fds)!;
      for (const fd of fds) fd.close();
      seen.push({
        request: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        payload,
        fdCount: fds.length,
      });
    }
  }

  /** Hangs up. */
  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    this.frontendSocket.close();
  }

  #read(length: number, fds: OwnedFd[]): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let have = 0; have < length;) {
      const count = receive(this.#socket.fd, bytes.subarray(have), fds);
      if (count <= 0) {
        if (have > 0) throw new Error(`a message was cut short at ${have}`);
        return undefined;
      }
      have += count;
    }
    return bytes;
  }
}
