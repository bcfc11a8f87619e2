/**
 * One connection of a USB host, in the reactor.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  closeConnection,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import type { PeerSession } from "../peer/peer_server.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";
import type { UsbDevice } from "../usb/core/transfers.ts";
import type { OutputBuffer } from "./output_buffer.ts";

/** Answers that may wait before the peer is read no more. **Units**: bytes. */
const MAX_BACKLOG = 32 * 1024;
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

/** Maker of the wire of a connection. */
export type MakeWire = (device: UsbDevice, onOutput: () => void) => UsbWire;

/** Parts of a session. */
export interface UsbSessionOptions {
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
  /** Called once the peer has said hello. */
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
  // Its hello is sent by the loop.
  #mask: number = EPOLLIN | EPOLLOUT;

  /**
   * Begins the session.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(options: UsbSessionOptions) {
    this.#options = options;
    const { loop, connection, device, share } = options;
    this.#wire = options.makeWire(device, () => this.#moreOutput());
    try {
      this.#watch = loop.watch(
        connection.fd,
        this.#mask,
        (events) => this.#ready(events),
        share,
      );
    } catch (error) {
      closeConnection(connection);
      throw error;
    }
    if (options.resumed !== undefined) this.#resume(options.resumed);
  }

  /** Returns the state of the connection, for the next process, if it can go on. */
  save(): { connection: OwnedFd; state: Saved } | undefined {
    const state = this.#isOpen && !this.#hasFailed
      ? this.#wire.save?.()
      : undefined;
    return state && { connection: this.#options.connection, state };
  }

  #resume(resumed: unknown): void {
    this.#isGreeted = true;
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
    this.#watch[Symbol.dispose]();
    closeConnection(this.#options.connection);
    this.#wire.close();
    this.#options.onEnd(reason, isFault);
  }

  #ready(events: number): void {
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

  /** Called from inside the device, which a session must not end there. */
  #moreOutput(): void {
    if (this.#isServing || this.#hasFailed) return;
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
      this.#send();
    } catch (error) {
      this.#failed(error);
    }
  }

  #send(): void {
    if (!this.#isOpen) return;
    const { output } = this.#wire;
    while (output.backlog > 0) {
      const count = send(this.#options.connection.fd, output.waiting);
      if (count < 0) break;
      output.sent(count);
    }
    const isFull = output.backlog > 0;
    const mask = output.backlog > MAX_BACKLOG
      ? EPOLLOUT
      : isFull
      ? EPOLLIN | EPOLLOUT
      : EPOLLIN;
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
