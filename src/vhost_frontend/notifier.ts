/**
 * The kick and call fds of a ring, and sleeping until a call.
 *
 * @module
 */
import {
  Epoll,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
} from "../../ffi/epoll.ts";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { ConnectionError } from "./errors.ts";
import type { CallKind } from "./orders.ts";

const CALL_SLOT = 0;
const SOCKET_SLOT = 1;

/** Receiving end of calls; one for a ring, or one for all of a frontend's. */
export class CallPoint implements Disposable {
  /** The fd that the backend is given. **Ownership**: this object's. */
  readonly backendFd: number;
  readonly #ends: readonly OwnedFd[];
  readonly #readFd: number;
  readonly #isStream: boolean;
  readonly #epoll: Epoll;
  #socketFd: number | undefined;

  constructor(kind: CallKind) {
    this.#epoll = new Epoll(2);
    try {
      this.#isStream = kind === "stream";
      this.#ends = this.#isStream ? socketPair() : [createEventFd()];
      this.#readFd = this.#ends.at(0)!.fd;
      this.backendFd = this.#ends.at(-1)!.fd;
      // Edge-triggered: an eventfd needs no read then, and a wake-up is one
      // system call.
      this.#epoll.add(this.#readFd, EPOLLIN | EPOLLET, CALL_SLOT, 0);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Has waits end with an error when the backend hangs up on this socket. */
  watchSocket(fd: number | undefined): void {
    if (this.#socketFd !== undefined) this.#epoll.remove(this.#socketFd);
    this.#socketFd = fd;
    if (fd !== undefined) this.#epoll.add(fd, EPOLLRDHUP, SOCKET_SLOT, 0);
  }

  /**
   * Sleeps until a call, which may be one that came since the last wait.
   *
   * **Blocking**: for `timeoutMs` at most; -1 for no limit.
   *
   * @returns Whether there was a call.
   * @throws {ConnectionError} If the backend hung up.
   */
  wait(timeoutMs: number): boolean {
    const count = this.#epoll.wait(timeoutMs);
    let called = false;
    for (let i = 0; i < count; i++) {
      if (this.#epoll.slotAt(i) === CALL_SLOT) called = true;
      else if (
        this.#epoll.eventsAt(i) & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
      ) throw new ConnectionError("The backend closed the connection");
    }
    if (called && this.#isStream) {
      while (drainFd(this.#readFd) > 0) { /* until it would block */ }
    }
    return called;
  }

  [Symbol.dispose](): void {
    this.#epoll[Symbol.dispose]();
    for (const end of this.#ends ?? []) end.close();
  }
}

/** Sending end of a ring's kicks. */
export class KickPoint implements Disposable {
  readonly #eventFd = createEventFd();
  /** The fd that the backend is given. **Ownership**: this object's. */
  readonly fd: number = this.#eventFd.fd;

  /** Kicks. */
  kick(): void {
    signalFd(this.fd);
  }

  [Symbol.dispose](): void {
    this.#eventFd.close();
  }
}
