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
import {
  decodeFrame,
  encodeFrame,
  type FrameRoom,
  MAX_FRAME_BYTES,
} from "./frame_text.ts";
import { TimePart } from "./time_part.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../ffi/readiness.ts";
import {
  receive,
  receiveBytes,
  refuseDescriptors,
  send,
} from "../../../ffi/socket_message.ts";

const HEADER_BYTES = 8;
const PIECE_BYTES = 64 * 1024;
/** Pieces that are read before others are served. */
const PIECES_AT_ONCE = 16;
/** Time after which no further piece is. **Units**: milliseconds. */
const TURN_MS = 2;
/** Limit of fds of frames whose bytes have not arrived; more are not ours. */
const MAX_PENDING_FDS = 1024;
/**
 * Interval of write attempts while the other side does not read. **Units**: ms.
 */
const AGAIN_MS = 1;

/** Events of a channel. */
interface ChannelEvents {
  /**
   * A message arrived. An exception ends the channel, as does an invalid frame.
   * **Ownership**: of the fds, the handler's.
   *
   * @returns `unasked` for a message that answers nothing: with such the other
   * side has a part of the time only.
   */
  message(value: unknown, fds: OwnedFd[]): "unasked" | void;
  /**
   * The other side has closed the channel or died, or sent what is not valid.
   */
  ended(how: "closed" | "invalid"): void;
}

/** Settings of a channel. */
export interface ChannelOptions {
  /** False if the other side cannot send fds. Default: true. */
  readonly descriptors?: boolean;
  /** Returns the most that a frame may have. Default: a large one. */
  readonly room?: () => FrameRoom;
}

/** Room for what a process of ours says whose program is not a guest's. */
const LARGEST: FrameRoom = { bytes: MAX_FRAME_BYTES, values: Infinity };

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
  readonly #room: () => FrameRoom;
  readonly #unasked = new TimePart();
  readonly #outgoing: Outgoing[] = [];
  readonly #fds: OwnedFd[] = [];
  readonly #received = new ByteBuffer(PIECE_BYTES);
  #wait: ReadinessWait | undefined;
  #endRest: () => void = () => {};
  #isClosed = false;

  /** Starts reading. */
  constructor(
    socket: OwnedFd,
    events: ChannelEvents,
    { descriptors = true, room = () => LARGEST }: ChannelOptions = {},
  ) {
    this.#socket = socket;
    this.#events = events;
    this.#takesFds = descriptors;
    this.#room = room;
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
    const json = encodeFrame(value);
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
    this.#endRest();
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
      const end = this.#receive(piece);
      if (end !== undefined) {
        this[Symbol.dispose]();
        this.#events.ended(end);
        return;
      }
      await this.#rest();
    }
  }

  /** Reads nothing for a time if there was too much that nothing asked for. */
  async #rest(): Promise<void> {
    const ms = this.#unasked.restMs;
    if (ms <= 0 || this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reads what is available, some of it at a time; returns how it ended. */
  #receive(piece: Uint8Array): "closed" | "invalid" | undefined {
    const end = performance.now() + TURN_MS;
    for (let pieces = 0; pieces < PIECES_AT_ONCE; pieces++) {
      if (pieces > 0 && performance.now() >= end) return undefined;
      let count: number;
      try {
        count = this.#takesFds
          ? receive(this.#socket.fd, piece, this.#fds)
          : receiveBytes(this.#socket.fd, piece);
      } catch {
        return "closed";
      }
      if (count === 0) return "closed";
      if (this.#fds.length > MAX_PENDING_FDS) return "invalid";
      if (count < 0 || this.#isClosed) return undefined;
      this.#received.append(piece.subarray(0, count));
      if (!this.#deliver()) return "invalid";
    }
    return undefined;
  }

  /** Passes frames on; false if one is invalid or its handler failed. */
  #deliver(): boolean {
    const room = this.#room();
    let at = 0;
    while (this.#received.length - at >= HEADER_BYTES) {
      const view = new DataView(this.#received.bytes.buffer);
      const length = view.getUint32(at, true);
      if (length > room.bytes) return false;
      const end = at + HEADER_BYTES + length;
      if (this.#received.length < end) break;
      const fds = this.#fds.splice(0, view.getUint32(at + 4, true));
      const bytes = this.#received.bytes.subarray(at + HEADER_BYTES, end);
      at = end;
      const begin = performance.now();
      try {
        const value = decodeFrame(bytes, room.values);
        const kind = this.#events.message(value, fds);
        if (kind === "unasked") this.#unasked.add(begin, performance.now());
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
