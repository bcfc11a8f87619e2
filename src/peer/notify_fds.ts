/**
 * The fds by which driver and device wake each other: kicks come in, calls and
 * errors go out.
 *
 * They are borrowed in a sense that matters: the open file behind an fd is
 * shared with the frontend, so its flags are never changed. A blocking file of
 * the frontend's must not be able to stop the reactor either, which serves other
 * guests: pipes are opened anew for a nonblocking file of our own, sockets are
 * used with MSG_DONTWAIT, and an eventfd that blocks is asked for room first. A
 * frontend that makes its file blocking after that look, and lets a call wait,
 * is found by a limit of all such waits (ffi/wait_limit.ts).
 *
 * @module
 */
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN } from "../../ffi/epoll.ts";
import { EINTR } from "../../ffi/errno.ts";
import {
  drainFd,
  drainSharedFd,
  isDrained,
  signalBlockingFd,
  signalFd,
  Signalled,
  signalSharedFd,
} from "../../ffi/event_fd.ts";
import {
  isNonblocking,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openFile,
  openFor,
  readSmallFile,
} from "../../ffi/files.ts";
import { type GivenKind, givenKind } from "../../ffi/given_fd.ts";
import { closeElsewhere } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";

/** Kicks that are taken from a pipe or socket at a time. */
const KICKS_PER_TURN = 64;

/**
 * The pipe behind `fd` as a nonblocking file of our own; undefined where it
 * cannot be had (a pipe of another user's). Only for what `fd` is open for.
 */
function reopen(fd: number, flags: number): OwnedFd | undefined {
  try {
    return openFile(`/proc/self/fd/${fd}`, flags | O_NONBLOCK);
  } catch (error) {
    if (isOsError(error)) return undefined;
    throw error;
  }
}

/**
 * Returns what `open` makes of `fd`, which is closed if it makes nothing of it.
 */
function orClosed<T>(fd: OwnedFd, open: () => T | string): T | string {
  let made: T | string = "";
  try {
    made = open();
    return made;
  } finally {
    if (typeof made === "string") closeElsewhere([fd]);
  }
}

const UNFIT = "its fd must be an eventfd, a pipe or a Unix socket";

/** Returns the kind of a given fd, or why it cannot be used. */
function kindToUse(
  fd: number,
  direction: "reading" | "writing",
): { kind: GivenKind } | string {
  // Opened anew, a pipe would be opened with this process's rights: the frontend
  // must have had the right itself.
  const { read, write } = openFor(fd);
  if (!(direction === "reading" ? read : write)) {
    return `its fd is not open for ${direction}`;
  }
  const kind = givenKind(fd);
  return kind === "other" || kind === "memory" ? UNFIT : { kind };
}

/** Way in which kicks are taken from an fd once it is readable. */
type Drain = "never" | "read" | "read shared" | "receive";

/** An fd that the driver kicks. **Ownership**: owns the fd. */
export class KickFd implements Disposable {
  readonly #fd: OwnedFd;
  readonly #drain: Drain;
  readonly #bytes = new Uint8Array(8 * KICKS_PER_TURN);
  readonly #strays: OwnedFd[] = [];
  #hasWaited = false;

  private constructor(fd: OwnedFd, drain: Drain) {
    this.#fd = fd;
    this.#drain = drain;
  }

  /**
   * Takes over the fd of a SET_VRING_KICK.
   *
   * @returns The kick, or the reason why the fd cannot be one; it is closed then.
   * @throws {OsError} If the kernel will not look at it; it is closed then, too.
   */
  static open(fd: OwnedFd): KickFd | string {
    return orClosed(fd, () => KickFd.#open(fd));
  }

  static #open(fd: OwnedFd): KickFd | string {
    // Edge-triggered, each write of an eventfd is an event of its own, whether
    // the count was read or not: the hot path saves the read.
    const given = kindToUse(fd.fd, "reading");
    if (typeof given === "string") return given;
    if (given.kind === "eventfd") return new KickFd(fd, "never");
    if (given.kind === "unix socket") return new KickFd(fd, "receive");
    const own = reopen(fd.fd, O_RDONLY);
    if (own !== undefined) {
      closeElsewhere([fd]);
      return new KickFd(own, "read");
    }
    if (isNonblocking(fd.fd)) return new KickFd(fd, "read shared");
    return "its pipe blocks, and cannot be opened anew";
  }

  /** The fd to watch. */
  get fd(): number {
    return this.#fd.fd;
  }

  /** The epoll events to watch for. */
  get events(): number {
    return this.#drain === "never" ? EPOLLIN | EPOLLET : EPOLLIN;
  }

  /**
   * True if it was kicked and the count is still in it. Only known of eventfds,
   * which are not read here. The kernel is asked without a read: another file's
   * flags may let that block.
   */
  get wasKicked(): boolean {
    if (this.#drain !== "never") return false;
    const info = readSmallFile(`/proc/self/fdinfo/${this.#fd.fd}`) ?? "";
    const count = /^eventfd-count:\s*([0-9a-f]+)/m.exec(info)?.[1];
    return count !== undefined && !/^0*$/.test(count);
  }

  /** True if {@linkcode KickFd.take} must be called for each event. */
  get mustBeTaken(): boolean {
    return this.#drain !== "never";
  }

  /** True if the frontend made its pipe blocking, and let a call wait. */
  get hasWaited(): boolean {
    return this.#hasWaited;
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
    const drain = this.#drain === "read" ? drainFd : drainSharedFd;
    for (let i = 0; i < KICKS_PER_TURN; i++) {
      const result = drain(this.#fd.fd);
      if (result === -EINTR) this.#hasWaited = true;
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
      if (this.#strays.length > 0) closeElsewhere(this.#strays.splice(0));
    }
  }

  /** Closes the fd; idempotent. End the watch before. */
  [Symbol.dispose](): void {
    closeElsewhere([this.#fd]);
  }
}

const ONE = new Uint8Array(8);
ONE[0] = 1;

/** Way in which an fd is signalled without waiting. */
const Way = { Write: 0, WriteShared: 1, AskThenWrite: 2, Send: 3 } as const;
type Way = typeof Way[keyof typeof Way];

/** An fd that notifies the driver. **Ownership**: owns the fd. */
export class CallFd implements Disposable {
  readonly #fd: OwnedFd;
  readonly #way: Way;
  #hasWaited = false;

  private constructor(fd: OwnedFd, way: Way) {
    this.#fd = fd;
    this.#way = way;
  }

  /**
   * Takes over the fd of a SET_VRING_CALL or SET_VRING_ERR. UML's are sockets,
   * everybody else's eventfds.
   *
   * @returns The call, or the reason why the fd cannot be one; it is closed then.
   * @throws {OsError} If the kernel will not look at it; it is closed then, too.
   */
  static open(fd: OwnedFd): CallFd | string {
    return orClosed(fd, () => CallFd.#open(fd));
  }

  static #open(fd: OwnedFd): CallFd | string {
    const given = kindToUse(fd.fd, "writing");
    if (typeof given === "string") return given;
    if (given.kind === "unix socket") return new CallFd(fd, Way.Send);
    const own = given.kind === "pipe" ? reopen(fd.fd, O_WRONLY) : undefined;
    if (own !== undefined) {
      closeElsewhere([fd]);
      return new CallFd(own, Way.Write);
    }
    return new CallFd(
      fd,
      isNonblocking(fd.fd) ? Way.WriteShared : Way.AskThenWrite,
    );
  }

  /** The fd, to be kept across a restart. */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Notifies the driver. A full pipe or socket does so already; a reader that is
   * gone shows at the connection. Never throws.
   *
   * **Blocking**: some 20 ms if the frontend makes its own eventfd blocking and
   * fills it to the brim between our look and our write: nothing that a guest
   * can do.
   *
   * @returns False if that happened. Nothing is written from then on.
   */
  signal(): boolean {
    if (this.#hasWaited) return false;
    if (this.#way === Way.WriteShared) {
      return this.#note(signalSharedFd(this.#fd.fd));
    }
    if (this.#way === Way.Write) signalFd(this.#fd.fd);
    else if (this.#way === Way.AskThenWrite) {
      return this.#note(signalBlockingFd(this.#fd.fd));
    } else this.#send();
    return true;
  }

  #note(outcome: Signalled): boolean {
    if (outcome === Signalled.Waited) this.#hasWaited = true;
    return outcome !== Signalled.Waited;
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
    closeElsewhere([this.#fd]);
  }
}
