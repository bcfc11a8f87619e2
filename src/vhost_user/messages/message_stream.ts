/**
 * Whole messages over a stream socket: header with its fds first, then exactly
 * the payload, however small the pieces are that arrive.
 *
 * @module
 */
import {
  closeElsewhere,
  hangUp,
  hangUpElsewhere,
} from "../../../ffi/helper_thread.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { pollFd, POLLHUP, POLLRDHUP } from "../../../ffi/poll.ts";
import {
  peekBytes,
  receive,
  send,
  waitingBytes,
} from "../../../ffi/socket_message.ts";
import { decodeHeader, type MessageHeader } from "./codec.ts";
import {
  headerFault,
  MAX_MESSAGE_FDS,
  MAX_PAYLOAD_BYTES,
} from "./request_forms.ts";
import { ProtocolError } from "../../peer/protocol_error.ts";
import { HEADER, requestName } from "./protocol.ts";

/** A message that arrived whole. */
export interface Message {
  /** Its first 12 bytes. */
  readonly header: MessageHeader;
  /** Its payload. Overwritten by the next message: nothing may keep it. */
  readonly payload: DataView;
  /**
   * Descriptors that came with it. **Ownership**: the receiver's, all of them.
   */
  readonly fds: OwnedFd[];
}

/** Why there is no message: not yet, or never again. */
type NoMessage = "waiting" | "ended";

/**
 * A vhost-user connection as a stream of messages.
 *
 * A read never crosses the end of a message: the fds of the next one would be
 * lost with it. A message stays in the socket, where the next process finds it,
 * until it is there whole. **Ownership**: owns the socket, and the fds of a message
 * that has not arrived whole.
 */
export class MessageStream implements Disposable {
  readonly #socket: OwnedFd;
  readonly #buffer = new Uint8Array(HEADER.size + MAX_PAYLOAD_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  #filled = 0;
  #header: MessageHeader | undefined;
  #fds: OwnedFd[] = [];
  #outgoing: { bytes: Uint8Array; fds: OwnedFd[] } | undefined;
  #hasPart = false;
  #isAtEnd = false;
  /** Called before a message is taken out of the socket. */
  onTake: (() => void) | undefined;

  /** Takes over a connected, nonblocking socket. */
  constructor(socket: OwnedFd) {
    this.#socket = socket;
  }

  /** The socket, to watch. */
  get fd(): number {
    return this.#socket.fd;
  }

  /**
   * True if a reply waits for room in the socket. Nothing is read meanwhile, so
   * a frontend that asks and never listens fills its own buffers, not ours.
   */
  get isBlocked(): boolean {
    return this.#outgoing !== undefined;
  }

  /**
   * True if a part of a message lies in the socket, which is readable therefore:
   * only what comes after it is news.
   */
  get hasPart(): boolean {
    return this.#hasPart;
  }

  /**
   * Reads on.
   *
   * @returns The next whole message, `"waiting"` for more bytes, `"ended"` when
   * the frontend is gone, or the rule that the frontend broke: no message can
   * be distinguished from the next one after that.
   */
  read(): Message | NoMessage | ProtocolError {
    if (this.#filled === 0) {
      this.#hasPart = this.#isPart();
      if (this.#hasPart) return "waiting";
    }
    for (;;) {
      const wanted = HEADER.size + (this.#header?.size ?? 0);
      if (this.#filled < wanted) {
        const problem = this.#fill(wanted);
        if (problem !== undefined) return problem;
        if (this.#filled < wanted) return "waiting";
      }
      const header = this.#header;
      if (header !== undefined) return this.#take(header);
      const decoded = decodeHeader(this.#view);
      const fault = headerFault(decoded);
      if (fault !== undefined) {
        return new ProtocolError(requestName(decoded.request), fault);
      }
      this.#header = decoded;
    }
  }

  /** Returns true if a message has begun in the socket and can become whole. */
  #isPart(): boolean {
    const { fd } = this.#socket;
    try {
      const count = peekBytes(fd, this.#buffer.subarray(0, HEADER.size));
      // What is wrong, or the end, is found by reading.
      if (count <= 0) return false;
      const waiting = waitingBytes(fd);
      if (waiting >= HEADER.size) {
        // Cut by descriptors in its midst.
        if (count < HEADER.size) return false;
        const header = decodeHeader(this.#view);
        if (
          headerFault(header) !== undefined ||
          waiting >= HEADER.size + header.size
        ) {
          this.onTake?.();
          return false;
        }
      }
      return (pollFd(fd, POLLRDHUP, 0) & (POLLRDHUP | POLLHUP)) === 0;
    } catch (error) {
      if (!isOsError(error)) throw error;
      return false;
    }
  }

  /** Receives up to `wanted` bytes in all, once. */
  #fill(wanted: number): NoMessage | ProtocolError | undefined {
    let count: number;
    try {
      count = receive(
        this.#socket.fd,
        this.#buffer.subarray(this.#filled, wanted),
        this.#fds,
      );
    } catch (cause) {
      if (isOsError(cause, "ECONNRESET", "EPIPE")) return "ended";
      return new ProtocolError(this.#what(), "it could not be received", {
        cause,
      });
    }
    if (count < 0) return "waiting";
    if (count === 0) {
      this.#isAtEnd = true;
      return this.#filled === 0 ? "ended" : new ProtocolError(
        this.#what(),
        `the connection ended after ${this.#filled} bytes of the message`,
      );
    }
    this.#filled += count;
    // Checked per read, so that a header in twelve pieces with 253 fds each
    // cannot use up the process's fds before the message is judged.
    if (this.#fds.length > MAX_MESSAGE_FDS) {
      return new ProtocolError(
        this.#what(),
        `a message carries at most ${MAX_MESSAGE_FDS} fds, not ${this.#fds.length}`,
      );
    }
    return undefined;
  }

  #what(): string {
    return this.#header === undefined
      ? "a message"
      : requestName(this.#header.request);
  }

  #take(header: MessageHeader): Message {
    const fds = this.#fds;
    this.#fds = [];
    this.#header = undefined;
    this.#filled = 0;
    return {
      header,
      payload: new DataView(this.#buffer.buffer, HEADER.size, header.size),
      fds,
    };
  }

  /**
   * Sends a message, or queues what the socket has no room for.
   *
   * @param fds What to send along. **Ownership**: taken over, and closed once
   * it is sent.
   * @throws {OsError} EPIPE or ECONNRESET when the frontend is gone.
   */
  send(bytes: Uint8Array, fds: OwnedFd[] = []): void {
    if (this.#outgoing !== undefined) {
      throw new TypeError("a reply waits already: nothing is read meanwhile");
    }
    this.#outgoing = { bytes, fds };
    this.flush();
  }

  /**
   * Sends what is queued, as far as there is room.
   *
   * @returns Whether nothing is left.
   * @throws {OsError} EPIPE or ECONNRESET when the frontend is gone.
   */
  flush(): boolean {
    while (this.#outgoing !== undefined) {
      const { bytes, fds } = this.#outgoing;
      const sent = send(this.#socket.fd, bytes, fds.map((one) => one.fd));
      if (sent < 0) return false;
      // The kernel has passed the fds on with the first byte.
      for (const one of fds) one.close();
      this.#outgoing = sent === bytes.length
        ? undefined
        : { bytes: bytes.subarray(sent), fds: [] };
    }
    return true;
  }

  /** Closes the socket and whatever waits in here. Idempotent. */
  [Symbol.dispose](): void {
    closeElsewhere(this.#fds);
    for (const one of this.#outgoing?.fds ?? []) one.close();
    this.#fds = [];
    this.#outgoing = undefined;
    if (this.#isAtEnd) hangUp(this.#socket);
    else hangUpElsewhere(this.#socket);
  }
}
