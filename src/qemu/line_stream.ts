/**
 * Lines of text over a connected unix socket, both ways, in the reactor.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { controlCharacterAt } from "../../ffi/protocol_text.ts";
import {
  closeConnection,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";

/** Receiver of lines. */
export interface LineStreamListener {
  /**
   * A line, without its line feed (and without a carriage return before it).
   */
  line(text: string): void;
  /** A line was longer than the limit. Absent: that ends the connection. */
  tooLong?(): void;
  /** The peer had fallen behind, and all queued data has been sent. */
  drained?(): void;
  /** The peer has ended. Called once, from the loop, never after disposal. */
  closed(reason: string): void;
  /** The same, if the stream ended it because of an invalid line. */
  failed(reason: string): void;
}

const PIECE_BYTES = 16 * 1024;
/** Limit of `drain`, in bytes: a socket may hold more, from a hostile peer. */
const MAX_DRAINED_BYTES = 64 * 1024;
/** An overlong line is skipped up to this length; then the connection ends. */
const MAX_SKIPPED_CHARACTERS = 4 * 1024 * 1024;
const CARRIAGE_RETURN = 13;
const CLOSED = "it closed the connection";

const piece = new Uint8Array(PIECE_BYTES);
const encoder = new TextEncoder();

/** Parts of a stream. */
export interface LineStreamOptions {
  readonly loop: EventLoop;
  /** Connected and nonblocking. */
  readonly fd: OwnedFd;
  /** The peer's share of the loop's time. */
  readonly share: TimeShare;
  /** Longest accepted line. **Units**: UTF-16 code units. */
  readonly maxLineLength: number;
}

/**
 * One connection. Lines are handed on within the peer's share of the time.
 *
 * **Ownership**: owns the fd. Disposing closes it; the listener is not called
 * any more.
 */
export class LineStream implements Disposable {
  readonly #loop: EventLoop;
  readonly #fd: OwnedFd;
  readonly #listener: LineStreamListener;
  readonly #watch: Watch;
  readonly #decoder = new TextDecoder();
  readonly #share: TimeShare;
  readonly #maxLineLength: number;
  /** Text that arrived and was not handed on, from `at` on. */
  #text = "";
  #at = 0;
  /** The rest of `text` waits for the peer's share. */
  #isDeferred = false;
  /** Length of the line that is being skipped; 0 if none is. */
  #skipped = 0;
  /** Bytes that are being sent, and the following ones. */
  #outgoing = new Uint8Array(0);
  #queued = "";
  #isOpen = true;
  /** The peer does not read any more: what it has sent must still be read. */
  #isBroken = false;
  #isFull = false;
  /** False once the owner has stopped listening. */
  #hasListener = true;

  /**
   * Listens to the peer from the loop's next turn on.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(
    { loop, fd, share, maxLineLength }: LineStreamOptions,
    listener: LineStreamListener,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#share = share;
    this.#maxLineLength = maxLineLength;
    this.#listener = listener;
    try {
      this.#watch = loop.watch(
        fd.fd,
        EPOLLIN,
        (events) => this.#ready(events),
        share,
      );
    } catch (error) {
      closeConnection(fd);
      throw error;
    }
  }

  /**
   * Amount of data that the peer has not read. **Units**: bytes, approximately:
   * text that is not ASCII counts for less until it is encoded.
   */
  get backlog(): number {
    return this.#outgoing.length + this.#queued.length;
  }

  /**
   * Sends a line, now or when the peer has read enough. A text that would be
   * more than one line is not sent: it ends the connection.
   */
  sendLine(text: string): void {
    if (!this.#isOpen || this.#isBroken) return;
    if (controlCharacterAt(text) >= 0) {
      return this.#refuse("a command would contain a control character");
    }
    this.#queued += text + "\n";
    if (this.#outgoing.length === 0) this.#write();
  }

  /**
   * Processes what has arrived so far, for a caller that needs it at once: up
   * to a limit, and not within the peer's share of the time, to which it is
   * charged afterwards. Must not be called from `line`: the order would be
   * lost.
   */
  drain(): void {
    for (let bytes = 0; this.#isOpen;) {
      if (this.#takeLine()) continue;
      if (bytes >= MAX_DRAINED_BYTES) return;
      const count = this.#receive();
      if (count <= 0) return;
      bytes += count;
    }
  }

  [Symbol.dispose](): void {
    this.#hasListener = false;
    this.#shut();
  }

  #shut(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#outgoing = new Uint8Array(0);
    this.#queued = "";
    this.#text = "";
    this.#at = 0;
    this.#watch[Symbol.dispose]();
    closeConnection(this.#fd);
  }

  #ready(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#write();
    if ((events & ~EPOLLOUT) !== 0) this.#serve();
  }

  /**
   * Passes lines on until there are no more, or the peer's share is used up.
   */
  #serve(): void {
    while (this.#isOpen) {
      if (!this.#takeLine() && this.#receive() <= 0) return;
      if (this.#share.isSpent) return this.#serveLater();
    }
  }

  /** Reports again what is still in the socket; the rest is deferred. */
  #serveLater(): void {
    if (this.#isDeferred || this.#at === this.#text.length) return;
    this.#isDeferred = true;
    this.#share.defer(() => {
      this.#isDeferred = false;
      this.#serve();
    });
  }

  /** Receives a piece; 0 or less if there is none. */
  #receive(): number {
    // What was read before may have ended the connection.
    if (!this.#isOpen) return 0;
    try {
      const count = receiveBytes(this.#fd.fd, piece);
      if (count === 0) this.#end(CLOSED);
      if (count > 0) {
        this.#text += this.#decoder.decode(piece.subarray(0, count), {
          stream: true,
        });
      }
      return count;
    } catch (error) {
      this.#fail(error);
      return 0;
    }
  }

  /** Passes one line on; false if there is no complete one. */
  #takeLine(): boolean {
    const start = this.#at;
    const end = this.#text.indexOf("\n", start);
    if (end < 0) {
      this.#text = this.#text.slice(start);
      this.#at = 0;
      this.#skipLongLine();
      return false;
    }
    this.#at = end + 1;
    const isSkipped = this.#skipped > 0;
    this.#skipped = 0;
    if (isSkipped || end - start > this.#maxLineLength) this.#tooLong();
    else {
      const isCarriageReturn = end > start &&
        this.#text.charCodeAt(end - 1) === CARRIAGE_RETURN;
      const line = this.#text.slice(start, isCarriageReturn ? end - 1 : end);
      this.#listener.line(line);
    }
    return true;
  }

  /** Discards the beginning of a line that is already too long. */
  #skipLongLine(): void {
    const { length } = this.#text;
    if (this.#skipped === 0 && length <= this.#maxLineLength) return;
    this.#skipped += length;
    this.#text = "";
    if (this.#skipped > MAX_SKIPPED_CHARACTERS) {
      this.#refuse("it sent a line that does not end");
    } else if (this.#listener.tooLong === undefined) this.#tooLong();
  }

  #tooLong(): void {
    const { tooLong } = this.#listener;
    if (tooLong !== undefined) return tooLong.call(this.#listener);
    this.#refuse(
      `it sent a line of more than ${this.#maxLineLength} characters`,
    );
  }

  #write(): void {
    try {
      while (this.backlog > 0) {
        if (this.#outgoing.length === 0) {
          this.#outgoing = encoder.encode(this.#queued);
          this.#queued = "";
        }
        const sent = send(this.#fd.fd, this.#outgoing);
        if (sent < 0) return this.#setFull(true);
        this.#outgoing = this.#outgoing.subarray(sent);
      }
      if (!this.#isFull) return;
      this.#setFull(false);
      this.#listener.drained?.();
    } catch (error) {
      if (!isGone(error)) return this.#fail(error);
      // Its last data has not been read: the connection ends after it.
      this.#isBroken = true;
      this.#outgoing = new Uint8Array(0);
      this.#queued = "";
      this.#setFull(false);
    }
  }

  #setFull(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#watch.update(isFull ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  #fail(error: unknown): void {
    if (!isOsError(error)) throw error;
    this.#end(isGone(error) ? CLOSED : error.message);
  }

  #end(reason: string): void {
    if (!this.#isOpen) return;
    this.#shut();
    // A current sender need not be ready for it.
    this.#loop.defer(() => {
      if (this.#hasListener) this.#listener.closed(reason);
    });
  }

  #refuse(reason: string): void {
    if (!this.#isOpen) return;
    this.#shut();
    this.#loop.defer(() => {
      if (this.#hasListener) this.#listener.failed(reason);
    });
  }
}

/**
 * Returns true if the peer has closed, or was killed before it had read
 * everything.
 */
function isGone(error: unknown): boolean {
  return isOsError(error) &&
    (error.code === "ECONNRESET" || error.code === "EPIPE");
}
