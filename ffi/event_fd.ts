/**
 * Notification fds: eventfds, and pipes that are used like them.
 *
 * @module
 */
import { EAGAIN, EINTR } from "./errno.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import { pollFd, POLLOUT } from "./poll.ts";
import { limitWaits } from "./wait_limit.ts";

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const ONE = new Uint8Array(8);
ONE[0] = 1;
const drained = new Uint8Array(8);

/**
 * Makes an eventfd, close-on-exec and nonblocking, with a count of 0.
 *
 * **Ownership**: the caller's.
 *
 * @throws {OsError} If the kernel refuses (EMFILE).
 *
 * **Safety**: a plain fd.
 */
export function createEventFd(): OwnedFd {
  return new OwnedFd(
    check(
      libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
      "eventfd",
      "a notification fd",
    ),
    "eventfd",
  );
}

/**
 * Writes a 64-bit 1: the notification, for eventfds and pipes.
 *
 * Never throws and never allocates.
 *
 * @returns Whether it was written: false when it would block (a pipe that is
 * full: its reader has been notified already) or the reader is gone.
 *
 * **Blocking**: not on a nonblocking fd. For one that others share there is
 * {@linkcode signalSharedFd}. **Safety**: writes from a constant of this
 * module; the kernel checks the fd.
 */
export function signalFd(fd: number): boolean {
  const { write } = libc();
  let written = write(fd, ONE, 8);
  while (written < 0 && lastErrno() === EINTR) written = write(fd, ONE, 8);
  return written === 8;
}

/**
 * Outcomes of a call on an fd that another process shares.
 *
 * **Safety**: plain data.
 */
export const Signalled = {
  /** The notification was written. */
  Done: 0,
  /** There is no room: the reader was notified already, or is gone. */
  Full: 1,
  /** The call waited, and was interrupted: the fd blocks and is full. */
  Waited: 2,
} as const;
/** See the constant of the same name. **Safety**: plain data. */
export type Signalled = typeof Signalled[keyof typeof Signalled];

/**
 * The same as {@linkcode signalFd} for an fd that another process shares, and
 * can make blocking at any time.
 *
 * **Blocking**: for {@linkcode ../ffi/wait_limit.ts | WAIT_LIMIT_MS} at most, if
 * the other process means harm. **Safety**: as {@linkcode signalFd}.
 */
export function signalSharedFd(fd: number): Signalled {
  limitWaits();
  const written = libc().write(fd, ONE, 8);
  if (written === 8) return Signalled.Done;
  // A write that finds room, or must not wait, is never interrupted.
  return written < 0 && lastErrno() === EINTR
    ? Signalled.Waited
    : Signalled.Full;
}

/**
 * The same as {@linkcode signalSharedFd} for an fd that blocks from the
 * beginning: asks first whether there is room.
 *
 * **Blocking**: as {@linkcode signalSharedFd}, if another writer takes the room
 * in between. **Safety**: as {@linkcode signalFd}.
 */
export function signalBlockingFd(fd: number): Signalled {
  return (pollFd(fd, POLLOUT, 0) & POLLOUT) === 0
    ? Signalled.Full
    : signalSharedFd(fd);
}

/**
 * Reads 8 bytes: takes the notification.
 *
 * Never throws and never allocates. What was read is thrown away; one read takes
 * an eventfd's whole count, but only one notification of a pipe.
 *
 * @returns Bytes read, 0 at the end of a pipe, or -errno (-EAGAIN: nothing
 * there).
 *
 * **Blocking**: not on a nonblocking fd, nor when epoll reported that it is
 * readable. **Safety**: reads into a buffer of this module.
 */
export function drainFd(fd: number): number {
  const { read } = libc();
  let count = read(fd, drained, 8);
  while (count < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) return -errno;
    count = read(fd, drained, 8);
  }
  return count;
}

/**
 * The same as {@linkcode drainFd} for an fd that another process shares, and
 * can make blocking at any time: -EINTR if the call waited.
 *
 * **Blocking**: for {@linkcode ../ffi/wait_limit.ts | WAIT_LIMIT_MS} at most.
 * **Safety**: as {@linkcode drainFd}.
 */
export function drainSharedFd(fd: number): number {
  limitWaits();
  const count = libc().read(fd, drained, 8);
  return count < 0 ? -lastErrno() : count;
}

/**
 * Returns true if `drainFd` answered that there was nothing to take.
 *
 * **Safety**: compares numbers.
 */
export function isDrained(result: number): boolean {
  return result === -EAGAIN;
}
