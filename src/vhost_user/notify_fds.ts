/**
 * The fds by which driver and device wake each other: kicks come in, calls and
 * errors go out.
 *
 * They are borrowed in a sense that matters: the open file behind an fd is
 * shared with the frontend, so its flags are never changed. A blocking file of
 * the frontend's must not be able to stop the reactor either, which serves other
 * guests: pipes are opened anew for a nonblocking file of our own, sockets are
 * used with MSG_DONTWAIT, and a blocking eventfd is asked for room first.
 *
 * @module
 */
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN } from "../../ffi/epoll.ts";
import {
  drainFd,
  isDrained,
  isEventFd,
  signalBlockingFd,
  signalFd,
} from "../../ffi/event_fd.ts";
import {
  fdStatus,
  isNonblocking,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openFile,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/unix_socket.ts";

/** Kicks that are taken from a pipe or socket at a time. */
const KICKS_PER_TURN = 64;

/**
 * The pipe behind `fd` as a nonblocking file of our own; undefined where it
 * cannot be had (a pipe of another user's).
 */
function reopen(fd: number, flags: number): OwnedFd | undefined {
  try {
    return openFile(`/proc/self/fd/${fd}`, flags | O_NONBLOCK);
  } catch (error) {
    if (isOsError(error)) return undefined;
    throw error;
  }
}

/** What `open` makes of `fd`, which is closed if it makes nothing of it. */
function orClosed<T>(fd: OwnedFd, open: () => T | string): T | string {
  let made: T | string = "";
  try {
    made = open();
    return made;
  } finally {
    if (typeof made === "string") fd.close();
  }
}

/** How kicks are taken from an fd once it is readable. */
type Drain = "never" | "read" | "receive";

/** An fd that the driver kicks. **Ownership**: owns the fd. */
export class KickFd implements Disposable {
  readonly #fd: OwnedFd;
  readonly #drain: Drain;
  readonly #bytes = new Uint8Array(8 * KICKS_PER_TURN);
  readonly #strays: OwnedFd[] = [];

  private constructor(fd: OwnedFd, drain: Drain) {
    this.#fd = fd;
    this.#drain = drain;
  }

  /**
   * Takes over the fd of a SET_VRING_KICK.
   *
   * @returns The kick, or why the fd is none; it is closed then.
   * @throws {OsError} If the kernel will not look at it; it is closed then, too.
   */
  static open(fd: OwnedFd): KickFd | string {
    return orClosed(fd, () => KickFd.#open(fd));
  }

  static #open(fd: OwnedFd): KickFd | string {
    // Edge-triggered, each write of an eventfd is an event of its own, whether
    // the count was read or not: the hot path saves the read.
    if (isEventFd(fd.fd)) return new KickFd(fd, "never");
    const { kind } = fdStatus(fd.fd);
    if (kind === "socket") return new KickFd(fd, "receive");
    if (kind === "fifo") {
      const own = reopen(fd.fd, O_RDONLY);
      if (own !== undefined) {
        fd.close();
        return new KickFd(own, "read");
      }
      if (isNonblocking(fd.fd)) return new KickFd(fd, "read");
      return "its pipe blocks, and cannot be opened anew";
    }
    return `its fd must be an eventfd, a pipe or a socket, not a ${kind}`;
  }

  /** The fd to watch. */
  get fd(): number {
    return this.#fd.fd;
  }

  /** The epoll events to watch for. */
  get events(): number {
    return this.#drain === "never" ? EPOLLIN | EPOLLET : EPOLLIN;
  }

  /** Whether {@linkcode KickFd.take} must be called for each event. */
  get mustBeTaken(): boolean {
    return this.#drain !== "never";
  }

  /**
   * Takes kicks out of a pipe or socket that epoll reported.
   *
   * @returns Whether more can come; false when the other end is gone.
   */
  take(events: number): boolean {
    if ((events & EPOLLIN) === 0) {
      return (events & (EPOLLHUP | EPOLLERR)) === 0;
    }
    if (this.#drain === "receive") return this.#receive();
    for (let i = 0; i < KICKS_PER_TURN; i++) {
      const result = drainFd(this.#fd.fd);
      if (result <= 0) return isDrained(result);
    }
    return true;
  }

  #receive(): boolean {
    try {
      return receive(this.#fd.fd, this.#bytes, this.#strays) !== 0;
    } catch (error) {
      if (isOsError(error)) return false;
      throw error;
    } finally {
      // A kick carries no fds; one that does must not fill our table.
      while (this.#strays.length > 0) this.#strays.pop()!.close();
    }
  }

  /** Closes the fd; idempotent. End the watch before. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

const ONE = new Uint8Array(8);
ONE[0] = 1;

/** How an fd is signalled without ever waiting. */
const Way = { Write: 0, AskThenWrite: 1, Send: 2 } as const;
type Way = typeof Way[keyof typeof Way];

/** An fd that tells the driver something. **Ownership**: owns the fd. */
export class CallFd implements Disposable {
  readonly #fd: OwnedFd;
  readonly #way: Way;

  private constructor(fd: OwnedFd, way: Way) {
    this.#fd = fd;
    this.#way = way;
  }

  /**
   * Takes over the fd of a SET_VRING_CALL or SET_VRING_ERR. UML's are sockets,
   * everybody else's eventfds.
   *
   * @returns The call, or why the fd is none; it is closed then.
   * @throws {OsError} If the kernel will not look at it; it is closed then, too.
   */
  static open(fd: OwnedFd): CallFd | string {
    return orClosed(fd, () => CallFd.#open(fd));
  }

  static #open(fd: OwnedFd): CallFd | string {
    if (isEventFd(fd.fd)) {
      return new CallFd(
        fd,
        isNonblocking(fd.fd) ? Way.Write : Way.AskThenWrite,
      );
    }
    const { kind } = fdStatus(fd.fd);
    if (kind === "socket") return new CallFd(fd, Way.Send);
    if (kind === "fifo") {
      const own = reopen(fd.fd, O_WRONLY);
      if (own === undefined) {
        return new CallFd(
          fd,
          isNonblocking(fd.fd) ? Way.Write : Way.AskThenWrite,
        );
      }
      fd.close();
      return new CallFd(own, Way.Write);
    }
    return `its fd must be an eventfd, a pipe or a socket, not a ${kind}`;
  }

  /**
   * Tells the driver. A full pipe or socket tells it already; a reader that is
   * gone shows at the connection. Never throws.
   *
   * **Blocking**: only if the frontend makes its own eventfd blocking and fills
   * it to the brim between our look and our write: nothing that a guest can do.
   */
  signal(): void {
    if (this.#way === Way.Write) signalFd(this.#fd.fd);
    else if (this.#way === Way.AskThenWrite) signalBlockingFd(this.#fd.fd);
    else this.#send();
  }

  #send(): void {
    try {
      send(this.#fd.fd, ONE);
    } catch (error) {
      if (!isOsError(error)) throw error;
    }
  }

  /** Closes the fd; idempotent. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
