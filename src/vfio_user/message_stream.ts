/**
 * Whole vfio-user messages over a stream socket, and the replies.
 *
 * @module
 */
import { closeElsewhere, hangUpElsewhere } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { ProtocolError } from "../peer/protocol_error.ts";
import { Progress, type SessionMemory } from "./session_memory.ts";
import {
  commandName,
  Flag,
  HEADER_BYTES,
  HeaderField,
  MAX_MESSAGE_BYTES,
  MAX_MESSAGE_FDS,
} from "./protocol.ts";

/** Longest message of an access to a register. **Units**: bytes. */
const SMALL_BYTES = 64;

/** Outcome of {@linkcode MessageStream.read}. */
type ReadOutcome = "message" | "waiting" | "ended" | ProtocolError;

/**
 * A connection as a stream of messages. A read never crosses the end of a
 * message, since the next one's fds would be lost.
 *
 * The message under way, and its reply, lie in the session's memory, so that an
 * access to a register allocates nothing here. **Ownership**: owns the socket,
 * and fds that {@linkcode MessageStream.takeFds} has not passed on; the memory
 * is lent.
 */
export class MessageStream implements Disposable {
  /** The message, header included. Overwritten by the next one. */
  readonly message: DataView;
  /** Body of the reply that was prepared. */
  readonly body: DataView;
  /** Length of the message. **Units**: bytes. */
  size = 0;
  readonly #socket: OwnedFd;
  readonly #progress: Int32Array;
  readonly #in: Uint8Array;
  readonly #out: Uint8Array;
  readonly #outView: DataView;
  /** Parts of the buffers that are used again and again, by their length. */
  readonly #headPart: Uint8Array;
  readonly #bodyParts: Uint8Array[] = [];
  readonly #replyParts: Uint8Array[] = [];
  #fds: OwnedFd[] = [];

  /** Takes over a connected, nonblocking socket. */
  constructor(
    socket: OwnedFd,
    { progress, message, reply }: Pick<
      SessionMemory,
      "progress" | "message" | "reply"
    >,
  ) {
    this.#socket = socket;
    this.#progress = progress;
    this.#in = message;
    this.#out = reply;
    this.#headPart = message.subarray(0, HEADER_BYTES);
    this.message = makeView(message);
    this.#outView = makeView(reply);
    this.body = makeView(reply.subarray(HEADER_BYTES));
  }

  /** The socket, to watch. */
  get fd(): number {
    return this.#socket.fd;
  }

  get command(): number {
    return this.message.getUint16(HeaderField.command, true);
  }

  get flags(): number {
    return this.message.getUint32(HeaderField.flags, true);
  }

  /** False if the client wants no answer to the message, not even an error. */
  get wantsReply(): boolean {
    return (this.flags & Flag.NoReply) === 0;
  }

  /**
   * True if a reply waits for room in the socket. Nothing is read meanwhile: a
   * client that does not read fills its own buffers only.
   */
  get isBlocked(): boolean {
    const progress = this.#progress;
    return progress[Progress.Served] === 1 &&
      progress[Progress.Sent]! < progress[Progress.ReplySize]!;
  }

  /**
   * Returns the descriptors that came with the message. **Ownership**: the
   * caller's.
   */
  takeFds(): OwnedFd[] {
    return this.#fds.splice(0);
  }

  /** Reads on; the message before is over, and its descriptors are closed. */
  read(): ReadOutcome {
    const progress = this.#progress;
    if (progress[Progress.Served] === 1) {
      this.size = 0;
      progress[Progress.Filled] = 0;
      progress[Progress.ReplySize] = 0;
      progress[Progress.Sent] = 0;
      progress[Progress.Served] = 0;
      if (this.#fds.length > 0) closeElsewhere(this.takeFds());
    }
    const header = this.#fill(HEADER_BYTES);
    if (header !== undefined) return header;
    const size = this.message.getUint32(HeaderField.size, true);
    if (size < HEADER_BYTES || size > MAX_MESSAGE_BYTES) {
      return new ProtocolError(
        commandName(this.command),
        `a message has ${HEADER_BYTES} to ${MAX_MESSAGE_BYTES} bytes, not ${size}`,
      );
    }
    const rest = this.#fill(size);
    if (rest !== undefined) return rest;
    this.size = size;
    return "message";
  }

  /** Receives until `wanted` bytes are there; undefined if they are. */
  #fill(wanted: number): ReadOutcome | undefined {
    const progress = this.#progress;
    while (progress[Progress.Filled]! < wanted) {
      let count: number;
      try {
        count = receive(
          this.#socket.fd,
          this.#window(wanted),
          this.#fds,
        );
      } catch (cause) {
        if (isOsError(cause, "ECONNRESET", "EPIPE")) return "ended";
        return new ProtocolError("a message", "it could not be received", {
          cause,
        });
      }
      if (count < 0) return "waiting";
      if (count === 0) {
        return progress[Progress.Filled] === 0 ? "ended" : new ProtocolError(
          "a message",
          `the connection ended after ${progress[Progress.Filled]} bytes of it`,
        );
      }
      progress[Progress.Filled]! += count;
      if (this.#fds.length > MAX_MESSAGE_FDS) {
        return new ProtocolError(
          "a message",
          `it brings at most ${MAX_MESSAGE_FDS} descriptors, not ${this.#fds.length}`,
        );
      }
    }
    return undefined;
  }

  /** Returns the part of the buffer that is to be filled next. */
  #window(wanted: number): Uint8Array {
    const filled = this.#progress[Progress.Filled]!;
    if (filled === 0 && wanted === HEADER_BYTES) return this.#headPart;
    if (filled === HEADER_BYTES && wanted <= SMALL_BYTES) {
      return this.#bodyParts[wanted] ??= this.#in.subarray(
        HEADER_BYTES,
        wanted,
      );
    }
    return this.#in.subarray(filled, wanted);
  }

  /**
   * Prepares a reply to the message, with a {@linkcode MessageStream.body} of
   * zeros, to be filled before {@linkcode MessageStream.send}. It is not sent if
   * the client wants none.
   */
  reply(bodyBytes: number): void {
    this.#begin(bodyBytes, Flag.Reply, 0);
    this.#out.fill(0, HEADER_BYTES, HEADER_BYTES + bodyBytes);
  }

  /** Prepares the reply that the message failed. */
  replyError(errno: number): void {
    this.#begin(0, Flag.Reply | Flag.Error, errno);
  }

  #begin(bodyBytes: number, flags: number, errno: number): void {
    const view = this.#outView;
    const { message } = this;
    view.setUint16(
      HeaderField.id,
      message.getUint16(HeaderField.id, true),
      true,
    );
    view.setUint16(HeaderField.command, this.command, true);
    view.setUint32(HeaderField.size, HEADER_BYTES + bodyBytes, true);
    view.setUint32(HeaderField.flags, flags, true);
    view.setUint32(HeaderField.errno, errno, true);
    this.#progress[Progress.Sent] = 0;
    this.#progress[Progress.ReplySize] = this.wantsReply
      ? HEADER_BYTES + bodyBytes
      : 0;
  }

  /** The message is served, and its reply prepared if it wants one. */
  served(): void {
    this.#progress[Progress.Served] = 1;
  }

  /**
   * Sends the reply that was prepared, or the rest of it, as far as there is
   * room.
   *
   * @returns True if nothing is left.
   * @throws {OsError} EPIPE or ECONNRESET when the client is gone.
   */
  send(): boolean {
    const progress = this.#progress;
    while (progress[Progress.Sent]! < progress[Progress.ReplySize]!) {
      const count = send(this.#socket.fd, this.#rest());
      if (count < 0) return false;
      progress[Progress.Sent]! += count;
    }
    return true;
  }

  #rest(): Uint8Array {
    const sent = this.#progress[Progress.Sent]!;
    const size = this.#progress[Progress.ReplySize]!;
    if (sent > 0 || size > SMALL_BYTES) return this.#out.subarray(sent, size);
    return this.#replyParts[size] ??= this.#out.subarray(0, size);
  }

  /** Closes the socket and the descriptors of the message. Idempotent. */
  [Symbol.dispose](): void {
    closeElsewhere(this.takeFds());
    hangUpElsewhere(this.#socket);
  }
}

function makeView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
