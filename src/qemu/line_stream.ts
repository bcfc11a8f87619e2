/**
 * Lines of text over a connected unix socket, both ways, in the reactor.
 *
 * A process that is killed leaves the connection between two lines, where the
 * next one can go on: a line stays in the socket until it was handed on, and
 * whole lines are sent at once.
 *
 * @module
 */
import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
} from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { controlCharacterAt } from "../../ffi/protocol_text.ts";
import {
  closeConnection,
  peekBytes,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";

/** Receiver of lines. */
interface LineStreamListener {
  /**
   * A line, without its line feed (and without a carriage return before it).
   */
  line(text: string): void;
  /** A line was longer than the limit. Absent: that ends the connection. */
  tooLong?(): void;
  /** The peer had fallen behind, and all queued data has been sent. */
  drained?(): void;
  /** A line was sent in part, which another process could not complete. */
  cut?(): void;
  /** The peer has ended. Called once, from the loop, never after disposal. */
  closed(reason: string): void;
  /** The same, if the stream ended it because of an invalid line. */
  failed(reason: string): void;
}

/** Room for what lies in the socket, at first. **Units**: bytes. */
const FIRST_ROOM = 4096;
/** The same, beyond the longest line, at most. */
const MORE_ROOM = 16 * 1024;
/**
 * Limit of lines that were handed on and are held in the socket, in bytes: a
 * peer waits when its socket is full.
 */
const MAX_HELD_BYTES = 1024;
/**
 * Text that is sent at once. The kernel takes 32 KiB whole, or nothing.
 * **Units**: UTF-16 code units.
 */
const MAX_SENT = 8192;
/** Limit of `drain`, in bytes: a socket may hold more, from a hostile peer. */
const MAX_DRAINED_BYTES = 64 * 1024;
/** An overlong line is skipped up to this length; then the connection ends. */
const MAX_SKIPPED_BYTES = 4 * 1024 * 1024;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const CLOSED = "it closed the connection";
/** Bytes that lie in the socket do not count: only those after them. */
const READING = EPOLLIN | EPOLLRDHUP | EPOLLET;
const GONE = EPOLLHUP | EPOLLERR | EPOLLRDHUP;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Parts of a stream. */
interface LineStreamOptions {
  readonly loop: EventLoop;
  /** Connected and nonblocking. */
  readonly fd: OwnedFd;
  /** The peer's share of the loop's time. */
  readonly share: TimeShare;
  /** Longest accepted line. **Units**: bytes. */
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
  readonly #share: TimeShare;
  readonly #maxLineLength: number;
  /** Bytes that lie in the socket, as far as they were read, and their end. */
  #bytes = new Uint8Array(FIRST_ROOM);
  #end = 0;
  /** Start of those that were not handed on. */
  #at = 0;
  /** Bytes of the connection before these. */
  #before = 0;
  /** Beginning of the line that was handed on last. */
  #lineStart = 0;
  /** From here on, nothing is taken out of the socket. */
  #heldFrom: number | undefined;
  /** The rest waits for the peer's share. */
  #isDeferred = false;
  /** Nothing more will come than what lies in the socket. */
  #isHungUp = false;
  /** Bytes of the line that is being skipped; 0 if none is. */
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
        READING,
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

  /** The socket's number, as long as it is open. */
  get fd(): number {
    return this.#fd.fd;
  }

  /** Beginning of the line that is being handed on, in the connection. */
  get lineStart(): number {
    return this.#lineStart;
  }

  /**
   * Leaves lines from a position on in the socket, some of them, after they were
   * handed on: the next process finds what this one has not done yet. An earlier
   * position counts, until `release`.
   */
  hold(from: number): void {
    this.#heldFrom = Math.min(from, this.#heldFrom ?? from);
  }

  /** Leaves lines in the socket from this position on only, or none. */
  release(from?: number): void {
    this.#heldFrom = from;
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
    this.#at = this.#end = 0;
    this.#watch[Symbol.dispose]();
    closeConnection(this.#fd);
  }

  #ready(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#write();
    if ((events & GONE) !== 0) this.#isHungUp = true;
    if ((events & ~EPOLLOUT) !== 0) this.#serve();
  }

  /**
   * Passes lines on until there are no more, or the peer's share is used up.
   */
  #serve(): void {
    let isDone = false;
    try {
      while (this.#isOpen) {
        if (!this.#takeLine() && this.#receive() <= 0) break;
        if (this.#share.isSpent) return;
      }
      isDone = true;
    } finally {
      if (!isDone) this.#serveLater();
    }
  }

  /** Goes on later: bytes in the socket are not reported again. */
  #serveLater(): void {
    if (this.#isDeferred || !this.#isOpen) return;
    this.#isDeferred = true;
    this.#share.defer(() => {
      this.#isDeferred = false;
      this.#serve();
    });
  }

  /** Reads what has come; 0 or less if there is nothing. */
  #receive(): number {
    // What was read before may have ended the connection.
    if (!this.#isOpen) return 0;
    try {
      this.#takeOut();
      if (this.#end === this.#bytes.length) this.#grow();
      const count = peekBytes(this.#fd.fd, this.#bytes);
      const fresh = count - this.#end;
      if (count > 0 && fresh > 0) {
        this.#end = count;
        return fresh;
      }
      if (count === 0 || this.#isHungUp) this.#finish(CLOSED);
      return 0;
    } catch (error) {
      this.#fail(error);
      return 0;
    }
  }

  #grow(): void {
    const most = this.#maxLineLength + MORE_ROOM;
    const larger = new Uint8Array(Math.min(2 * this.#end, most));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  /** Takes what was handed on, and is not held, out of the socket. */
  #takeOut(): void {
    const at = this.#before + this.#at;
    const isTooMuch = this.#heldFrom !== undefined &&
      at - this.#heldFrom > MAX_HELD_BYTES;
    if (isTooMuch || this.#isHungUp) this.#heldFrom = undefined;
    const until = Math.min(this.#heldFrom ?? at, at);
    const count = until - this.#before;
    if (count <= 0) return;
    for (let taken = 0; taken < count;) {
      const some = receiveBytes(
        this.#fd.fd,
        this.#bytes.subarray(taken, count),
      );
      if (some <= 0) return this.#refuse("another program reads its lines");
      taken += some;
    }
    this.#bytes.copyWithin(0, count, this.#end);
    this.#before = until;
    this.#at -= count;
    this.#end -= count;
  }

  /** Passes one line on; false if there is no complete one. */
  #takeLine(): boolean {
    const start = this.#at;
    const end = this.#bytes.indexOf(LINE_FEED, start);
    // What was there before lies behind the end.
    if (end < 0 || end >= this.#end) {
      this.#skipLongLine();
      return false;
    }
    this.#at = end + 1;
    this.#lineStart = this.#before + start;
    const isSkipped = this.#skipped > 0;
    this.#skipped = 0;
    if (isSkipped || end - start > this.#maxLineLength) this.#tooLong();
    else {
      const isCarriageReturn = end > start &&
        this.#bytes[end - 1] === CARRIAGE_RETURN;
      const last = isCarriageReturn ? end - 1 : end;
      this.#listener.line(decoder.decode(this.#bytes.subarray(start, last)));
    }
    return true;
  }

  /** Discards the beginning of a line that is already too long. */
  #skipLongLine(): void {
    const length = this.#end - this.#at;
    if (this.#skipped === 0 && length <= this.#maxLineLength) return;
    this.#skipped += length;
    this.#at = this.#end;
    if (this.#skipped > MAX_SKIPPED_BYTES) {
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
          this.#outgoing = encoder.encode(this.#nextLines());
        }
        const sent = send(this.#fd.fd, this.#outgoing);
        if (sent < 0) return this.#setFull(true);
        this.#outgoing = this.#outgoing.subarray(sent);
        if (this.#outgoing.length > 0) this.#listener.cut?.();
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

  /** Takes whole lines off the queue, not more than are sent at once. */
  #nextLines(): string {
    const queued = this.#queued;
    const last = queued.length <= MAX_SENT
      ? queued.length - 1
      : queued.lastIndexOf("\n", MAX_SENT - 1);
    const end = (last < 0 ? queued.indexOf("\n") : last) + 1;
    this.#queued = queued.slice(end);
    return queued.slice(0, end);
  }

  #setFull(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#watch.update(isFull ? READING | EPOLLOUT : READING);
  }

  #fail(error: unknown): void {
    if (!isOsError(error)) throw error;
    this.#finish(isGone(error) ? CLOSED : error.message);
  }

  #finish(reason: string): void {
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
