/**
 * One connection of a USB host, in the reactor.
 *
 * @module
 */
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  closeConnection,
  peekBytes,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import type { PeerSession } from "../peer/peer_server.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";
import type { UsbDevice } from "../usb/core/transfers.ts";
import type { InputBuffer } from "./input_buffer.ts";
import type { OutputBuffer } from "./output_buffer.ts";

/** Answers that may wait before the peer is read no more. **Units**: bytes. */
const MAX_BACKLOG = 32 * 1024;
/**
 * Bytes that are sent at once where the next process may have to repeat them:
 * the kernel takes as many whole, or none.
 */
const MAX_PIECE = 8 * 1024;
/** Bytes by which a message is known: its header. */
const HEADER = 16;
const CLOSED = "it closed the connection";

/** A device at the end of a connection, as bytes: what comes in, what goes out. */
export interface UsbWire {
  /** Why the peer is given up; empty: it is not. */
  readonly fault: string;
  /** True once the peer has begun to speak. */
  readonly hasHello: boolean;
  /** Bytes to send. */
  readonly output: OutputBuffer;
  /** Room for what is received, lent until `received`. */
  readonly room: Uint8Array;
  /** That many bytes came into the room. */
  received(count: number): void;
  /** Serves one message; false: there is no whole one, or no peer any more. */
  next(): boolean;
  /** Bytes that were received; for wires with `save`. */
  readonly copy?: InputBuffer;
  /** Returns all that the next process needs to go on, if it can. */
  save?(): Saved | undefined;
  /**
   * Goes on as an earlier process has left it. `onFailed` is called, also later,
   * if a line cannot.
   *
   * @throws {RangeError} If that is not the state of such a connection.
   */
  restore?(saved: SavedReader, onFailed: () => void): void;
  /** The connection is over: the device has no host any more. */
  close(): void;
}

/** Keeps the session of one adapter. */
export interface AdapterJournal {
  /**
   * Writes the state of the session, before anything of it is taken out of the
   * connection or sent.
   *
   * @param first The first bytes of the messages that were served.
   * @param taken Number of bytes of all of them.
   */
  write(
    connection: OwnedFd,
    state: Saved,
    first: Uint8Array,
    taken: number,
  ): void;
  /** Those messages are taken out. */
  tookOut(): void;
  /** So many more bytes of the state's output are sent. */
  sent(count: number): void;
  /** The session is over, or cannot go on; its connection is open still. */
  over(): void;
}

/** Maker of the wire of a connection. */
export type MakeWire = (
  device: UsbDevice,
  onOutput: () => void,
  onChange: () => void,
) => UsbWire;

/** Parts of a session. */
interface UsbSessionOptions {
  readonly loop: EventLoop;
  /** The peer's share of the loop's time. */
  readonly share: TimeShare;
  /** Connected and nonblocking. **Ownership**: taken over. */
  readonly connection: OwnedFd;
  /** **Ownership**: borrowed. */
  readonly device: UsbDevice;
  /** Makes the wire of the connection. */
  readonly makeWire: MakeWire;
  /** State that an earlier process has left of this connection. */
  readonly resumed?: unknown;
  /** Keeps the session for the next process, if its wire can go on there. */
  readonly journal?: AdapterJournal | undefined;
  /** Called once the peer has sent its hello. */
  readonly onHello?: () => void;
  /** Called once, when it is over and everything of it is released. */
  readonly onEnd: (reason: string, isFault: boolean) => void;
}

/** A peer that uses the device. **Ownership**: owns the connection. */
export class UsbSession implements PeerSession {
  readonly #options: UsbSessionOptions;
  readonly #wire: UsbWire;
  readonly #watch: Watch;
  #isOpen = true;
  #isServing = false;
  #isGreeted = false;
  #isDeferred = false;
  /** Set once nothing can be sent: the session's end is deferred. */
  #hasFailed = false;
  /** Events of a peer that may send. */
  readonly #reading: number;
  #mask: number;
  /** True if messages stay in the socket until they are served and kept. */
  readonly #isKept: boolean;
  /** The state is not the one that was written. */
  #isChanged = false;
  /** A message was sent in part: no other process can go on. */
  #isCut = false;
  /** Nothing more will come than what lies in the socket. */
  #isHungUp = false;

  /**
   * Begins the session.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(options: UsbSessionOptions) {
    this.#options = options;
    const { loop, connection, device, share } = options;
    this.#wire = options.makeWire(
      device,
      () => this.#moreOutput(),
      () => {
        if (this.#isKept) this.#moreOutput();
      },
    );
    this.#isKept = options.journal !== undefined &&
      this.#wire.copy !== undefined;
    // What waits in the socket does not count then.
    this.#reading = this.#isKept ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN;
    // Its hello is sent by the loop.
    this.#mask = this.#reading | EPOLLOUT;
    try {
      this.#watch = loop.watch(
        connection.fd,
        this.#mask,
        (events) => this.#ready(events),
        share,
      );
    } catch (error) {
      options.journal?.over();
      closeConnection(connection);
      throw error;
    }
    if (options.resumed !== undefined) this.#resume(options.resumed);
  }

  /** Keeps the state as it is now, for the next process. */
  keep(): void {
    if (!this.#isOpen || !this.#isKept || this.#hasFailed) return;
    this.#isChanged = true;
    this.#flush();
  }

  #resume(resumed: unknown): void {
    this.#isGreeted = true;
    this.#isChanged = true;
    const fail = (why: string) => {
      this.#hasFailed = true;
      // Not from inside the device, nor from the constructor.
      this.#options.share.defer(() => this.#end(why, false));
    };
    // What it has to say is sent by the loop.
    this.#isServing = true;
    try {
      this.#wire.restore?.(
        new SavedReader(resumed),
        () => fail("a line does not go on after the restart"),
      );
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      fail(`it cannot go on after the restart: ${error.message}`);
    } finally {
      this.#isServing = false;
    }
  }

  get isIdle(): boolean {
    return !this.#wire.hasHello;
  }

  end(reason: string): void {
    this.#end(reason, false);
  }

  [Symbol.dispose](): void {
    this.#end("gpioagg stops", false);
  }

  #end(reason: string, isFault: boolean): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#options.journal?.over();
    this.#watch[Symbol.dispose]();
    closeConnection(this.#options.connection);
    this.#wire.close();
    this.#options.onEnd(reason, isFault);
  }

  #ready(events: number): void {
    if ((events & ~(EPOLLIN | EPOLLOUT)) !== 0) this.#isHungUp = true;
    if ((events & EPOLLOUT) !== 0) this.#flush();
    this.#serve();
  }

  /** Serves packets until there are no more, or the peer's time is used up. */
  #serve(): void {
    this.#isServing = true;
    try {
      while (this.#isOpen) {
        if (!this.#next() && (this.#isFaulty() || !this.#receive())) break;
        if (this.#wire.output.backlog > MAX_BACKLOG) {
          // What it does not read, it does not get more of.
          this.#flush();
          if (this.#wire.output.backlog > MAX_BACKLOG) break;
        }
        if (this.#options.share.isSpent) {
          this.#serveLater();
          break;
        }
      }
    } finally {
      this.#isServing = false;
    }
    this.#flush();
  }

  /** Serves one packet; false if there is no whole one. */
  #next(): boolean {
    if (!this.#wire.next()) return false;
    this.#isChanged = true;
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      this.#options.onHello?.();
    }
    return true;
  }

  #serveLater(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#options.share.defer(() => {
      this.#isDeferred = false;
      this.#serve();
    });
  }

  #isFaulty(): boolean {
    const { fault } = this.#wire;
    if (fault === "") return false;
    this.#end(fault, true);
    return true;
  }

  /** Receives a piece; false if there is none. */
  #receive(): boolean {
    if (this.#isKept) return this.#receiveCopy();
    try {
      const count = receiveBytes(
        this.#options.connection.fd,
        this.#wire.room,
      );
      if (count === 0) this.#end(CLOSED, false);
      if (count <= 0) return false;
      this.#wire.received(count);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** The same, and leaves it in the socket; what was served is taken out. */
  #receiveCopy(): boolean {
    const copy = this.#wire.copy!;
    this.#flush();
    if (!this.#isOpen) return false;
    const before = copy.available;
    try {
      const count = peekBytes(this.#options.connection.fd, copy.whole);
      copy.received(Math.max(0, count));
      if (count === 0) this.#end(CLOSED, false);
      if (count <= before && this.#isHungUp) this.#end(CLOSED, false);
      return this.#isOpen && count > before;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Writes the state, and takes the messages out that led to it. */
  #write(): void {
    const { journal, connection } = this.#options;
    const copy = this.#wire.copy!;
    const { taken } = copy;
    if (!this.#isChanged && taken === 0) return;
    this.#isChanged = false;
    const state = this.#isCut || this.#hasFailed
      ? undefined
      : this.#wire.save?.();
    if (state !== undefined) {
      const first = copy.bytes.subarray(0, Math.min(taken, HEADER));
      // Messages that were not served are in the socket still.
      journal!.write(connection, { ...state, input: "" }, first, taken);
    }
    for (let left = taken; left > 0;) {
      const out = copy.bytes.subarray(taken - left, taken);
      const count = receiveBytes(connection.fd, out);
      if (count <= 0) return this.#end("another program reads it", false);
      left -= count;
    }
    if (taken === 0) return;
    copy.putOut();
    journal!.tookOut();
  }

  /** Called from inside the device, which a session must not end there. */
  #moreOutput(): void {
    this.#isChanged = true;
    if (this.#isServing || this.#hasFailed) return;
    // Its state is not to be written there.
    if (this.#isKept) return this.#serveLater();
    try {
      this.#send();
    } catch (error) {
      this.#hasFailed = true;
      this.#options.share.defer(() => this.#failed(error));
    }
  }

  /** Sends what waits. Not for use from inside the device. */
  #flush(): void {
    try {
      if (this.#isKept && this.#isOpen) this.#write();
      this.#send();
    } catch (error) {
      this.#failed(error);
    }
  }

  #send(): void {
    if (!this.#isOpen) return;
    const { output } = this.#wire;
    const { connection, journal } = this.#options;
    while (output.backlog > 0) {
      const piece = this.#isKept && !this.#isCut
        ? output.wholeMessages(MAX_PIECE)
        : output.backlog;
      const count = send(connection.fd, output.waiting.subarray(0, piece));
      if (count < 0) break;
      output.sent(count);
      if (!this.#isKept) continue;
      journal!.sent(count);
      if (count === piece || this.#isCut) continue;
      this.#isCut = true;
      journal!.over();
    }
    const isFull = output.backlog > 0;
    const mask = output.backlog > MAX_BACKLOG
      ? EPOLLOUT
      : isFull
      ? this.#reading | EPOLLOUT
      : this.#reading;
    if (mask === this.#mask) return;
    const wasHeld = (this.#mask & EPOLLIN) === 0;
    this.#mask = mask;
    this.#watch.update(mask);
    // What was received before it fell behind is reported by no one.
    if (wasHeld && !this.#isServing) this.#serveLater();
  }

  #failed(error: unknown): void {
    if (!isOsError(error)) throw error;
    const isGone = error.code === "ECONNRESET" || error.code === "EPIPE";
    this.#end(isGone ? CLOSED : error.message, false);
  }
}
