/**
 * Lines of text over a connected unix socket, both ways, in the reactor.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/unix_socket.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";

/** Who hears of what comes. */
export interface LineStreamListener {
  /** A line, without its line feed (and without a carriage return before it). */
  line(text: string): void;
  /** The peer had fallen behind, and all that waited is on its way. */
  drained?(): void;
  /** The peer is gone. Called once, from the loop, never after disposal. */
  closed(reason: string): void;
}

const PIECE_BYTES = 64 * 1024;
/**
 * Pieces that are read at once, so that a flood keeps nobody waiting: more than
 * a socket holds.
 */
const PIECES_PER_TURN = 4;
/** QEMU lists the properties of a large object in one line. */
const MAX_LINE_CHARACTERS = 4 * 1024 * 1024;
const CLOSED = "it closed the connection";

const piece = new Uint8Array(PIECE_BYTES);
const encoder = new TextEncoder();

/**
 * One connection.
 *
 * **Ownership**: owns the fd. Disposing closes it; the listener hears no more.
 */
export class LineStream implements Disposable {
  readonly #loop: EventLoop;
  readonly #fd: OwnedFd;
  readonly #listener: LineStreamListener;
  readonly #watch: Watch;
  readonly #decoder = new TextDecoder();
  /** The beginning of a line whose end has not come. */
  #begun = "";
  /** What is being sent, and what comes behind it. */
  #outgoing = new Uint8Array(0);
  #queued = "";
  #isOpen = true;
  /** The peer reads no more: what it has sent is still to be read. */
  #isBroken = false;
  #isFull = false;
  /** Undefined once the owner wants to hear no more. */
  #onClosed: ((reason: string) => void) | undefined;

  /** Listens on `fd`, which is nonblocking, from the loop's next turn on. */
  constructor(loop: EventLoop, fd: OwnedFd, listener: LineStreamListener) {
    this.#loop = loop;
    this.#fd = fd;
    this.#listener = listener;
    this.#onClosed = (reason) => listener.closed(reason);
    this.#watch = loop.watch(fd.fd, EPOLLIN, (events) => this.#ready(events));
  }

  /**
   * What waits for the peer to read. **Units**: bytes, or nearly so: what is
   * not ASCII counts for less until its turn has come.
   */
  get backlog(): number {
    return this.#outgoing.length + this.#queued.length;
  }

  /** Sends text, now or when the peer has read enough. */
  send(text: string): void {
    if (!this.#isOpen || this.#isBroken) return;
    this.#queued += text;
    if (this.#outgoing.length === 0) this.#write();
  }

  /**
   * Reads what has come so far, for whoever must know it before going on. Not
   * from inside `line`: its order would be lost.
   */
  drain(): void {
    this.#read();
  }

  [Symbol.dispose](): void {
    this.#onClosed = undefined;
    this.#shut();
  }

  #shut(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#outgoing = new Uint8Array(0);
    this.#queued = "";
    this.#watch[Symbol.dispose]();
    this.#fd.close();
  }

  #ready(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#write();
    if ((events & ~EPOLLOUT) !== 0) this.#read();
  }

  #read(): void {
    try {
      for (let i = 0; i < PIECES_PER_TURN && this.#isOpen; i++) {
        const count = receive(this.#fd.fd, piece, []);
        if (count < 0) return;
        if (count === 0) return this.#end(CLOSED);
        this.#take(
          this.#decoder.decode(piece.subarray(0, count), { stream: true }),
        );
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(text: string): void {
    const lines = text.split("\n");
    lines[0] = this.#begun + lines[0];
    this.#begun = lines.pop()!;
    for (const line of lines) {
      // A line may have led to the end of the connection.
      if (!this.#isOpen) return;
      this.#listener.line(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
    if (this.#begun.length > MAX_LINE_CHARACTERS) {
      this.#end(`it sent a line without an end`);
    }
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
      // Its last words have not been read: their end is the connection's.
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
    // Whoever was sending at this moment need not be ready for it.
    this.#loop.defer(() => this.#onClosed?.(reason));
  }
}

/** Whether a peer has closed, or was killed before it had read everything. */
function isGone(error: unknown): boolean {
  return isOsError(error) &&
    (error.code === "ECONNRESET" || error.code === "EPIPE");
}
