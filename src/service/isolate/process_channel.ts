/**
 * Messages and fds between two processes of one service: JSON in frames over a
 * stream socket, read and written without blocking the isolate.
 *
 * A frame is a 32-bit length and a 32-bit number of fds, then that many bytes of
 * JSON. The fds travel with the frame's first byte.
 *
 * @module
 */
import { ByteBuffer } from "../messages/byte_buffer.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../ffi/readiness.ts";
import {
  receive,
  receiveBytes,
  refuseDescriptors,
  send,
} from "../../../ffi/socket_message.ts";

const HEADER_BYTES = 8;
/** Largest frame; a larger one is a bug of ours. **Units**: bytes. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Pieces that are read before others are served. */
const PIECES_AT_ONCE = 16;
/** Limit of fds of frames whose bytes have not arrived; more are not ours. */
const MAX_PENDING_FDS = 1024;
/**
 * Interval of write attempts while the other side does not read. **Units**: ms.
 */
const AGAIN_MS = 1;

/** Events of a channel. */
export interface ChannelEvents {
  /**
   * A message arrived. An exception ends the channel, as does an invalid frame.
   * **Ownership**: of the fds, the handler's.
   */
  message(value: unknown, fds: OwnedFd[]): void;
  /** The other side has closed the channel, died, or sent an invalid frame. */
  ended(): void;
}

/** Settings of a channel. */
export interface ChannelOptions {
  /** False if the other side cannot send fds. Default: true. */
  readonly descriptors?: boolean;
}

interface Outgoing {
  bytes: Uint8Array;
  fds: readonly number[];
  /** Runs once the other side has the fds as well. */
  sent: () => void;
}

/** One end of a channel. **Ownership**: of its socket. */
export class ProcessChannel implements Disposable {
  readonly #socket: OwnedFd;
  readonly #events: ChannelEvents;
  readonly #takesFds: boolean;
  readonly #outgoing: Outgoing[] = [];
  readonly #fds: OwnedFd[] = [];
  readonly #received = new ByteBuffer(PIECE_BYTES);
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /** Starts reading. */
  constructor(
    socket: OwnedFd,
    events: ChannelEvents,
    { descriptors = true }: ChannelOptions = {},
  ) {
    this.#socket = socket;
    this.#events = events;
    this.#takesFds = descriptors;
    if (!descriptors) refuseDescriptors(socket.fd);
    void this.#read();
  }

  /**
   * Sends a message, in order. It is dropped if the other side has ended.
   *
   * @param fds **Ownership**: the caller's; open until `sent` runs.
   */
  send(
    value: unknown,
    fds: readonly number[] = [],
    sent: () => void = () => {},
  ): void {
    if (this.#isClosed) return sent();
    const json = new TextEncoder().encode(JSON.stringify(value, replacer));
    const bytes = new Uint8Array(HEADER_BYTES + json.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, json.length, true);
    view.setUint32(4, fds.length, true);
    bytes.set(json, HEADER_BYTES);
    this.#outgoing.push({ bytes, fds, sent });
    if (this.#outgoing.length === 1) this.#write();
  }

  /** Ends the channel. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wait?.cancel();
    this.#socket.close();
    for (const fd of this.#fds.splice(0)) fd.close();
    for (const { sent } of this.#outgoing.splice(0)) sent();
  }

  #write(): void {
    for (
      let next = this.#outgoing[0];
      next !== undefined && !this.#isClosed;
      next = this.#outgoing[0]
    ) {
      let count: number;
      try {
        count = send(this.#socket.fd, next.bytes, next.fds);
      } catch {
        // The other side has ended, which the reading side reports.
        for (const { sent } of this.#outgoing.splice(0)) sent();
        return;
      }
      if (count > 0) next.fds = [];
      if (count < next.bytes.length) {
        next.bytes = next.bytes.subarray(Math.max(0, count));
        setTimeout(() => this.#write(), AGAIN_MS);
        return;
      }
      this.#outgoing.shift();
      next.sent();
    }
  }

  async #read(): Promise<void> {
    const piece = new Uint8Array(PIECE_BYTES);
    while (!this.#isClosed) {
      this.#wait = whenReadable(this.#socket.fd);
      if (!await this.#wait.ready || this.#isClosed) return;
      if (!this.#receive(piece)) {
        this[Symbol.dispose]();
        this.#events.ended();
        return;
      }
    }
  }

  /** Reads what is available, some of it at a time; false at the end. */
  #receive(piece: Uint8Array): boolean {
    for (let pieces = 0; pieces < PIECES_AT_ONCE; pieces++) {
      let count: number;
      try {
        count = this.#takesFds
          ? receive(this.#socket.fd, piece, this.#fds)
          : receiveBytes(this.#socket.fd, piece);
      } catch {
        return false;
      }
      if (count === 0 || this.#fds.length > MAX_PENDING_FDS) return false;
      if (count < 0 || this.#isClosed) return true;
      this.#received.append(piece.subarray(0, count));
      if (!this.#deliver()) return false;
    }
    return true;
  }

  /** Passes frames on; false if one is invalid or its handler failed. */
  #deliver(): boolean {
    let at = 0;
    while (this.#received.length - at >= HEADER_BYTES) {
      const view = new DataView(this.#received.bytes.buffer);
      const length = view.getUint32(at, true);
      if (length > MAX_FRAME_BYTES) return false;
      const end = at + HEADER_BYTES + length;
      if (this.#received.length < end) break;
      const fds = this.#fds.splice(0, view.getUint32(at + 4, true));
      const text = new TextDecoder().decode(
        this.#received.bytes.subarray(at + HEADER_BYTES, end),
      );
      at = end;
      try {
        this.#events.message(JSON.parse(text, reviver), fds);
      } catch {
        for (const fd of fds) fd.close();
        return false;
      }
      if (this.#isClosed) return true;
    }
    this.#received.drop(at);
    return true;
  }
}

/** JSON has no typed arrays, which counters are. */
const NUMBERS = "$float64";

function replacer(_key: string, value: unknown): unknown {
  return value instanceof Float64Array ? { [NUMBERS]: [...value] } : value;
}

function reviver(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(NUMBERS in value)) {
    return value;
  }
  const numbers = value[NUMBERS];
  if (!Array.isArray(numbers)) throw new TypeError(`${NUMBERS} is not a list`);
  return Float64Array.from(numbers);
}
