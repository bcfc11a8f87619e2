/**
 * Notification fds: eventfds, and pipes that are used like them.
 *
 * @module
 */
import { EAGAIN, EINTR } from "./errno.ts";
import { readLink } from "./files.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import { pollFd, POLLOUT } from "./poll.ts";

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
 * **Blocking**: not on a nonblocking fd. On one that somebody else left blocking
 * use {@linkcode signalBlockingFd}. **Safety**: writes from a constant of this
 * module; the kernel checks the fd.
 */
export function signalFd(fd: number): boolean {
  const { write } = libc();
  let written = write(fd, ONE, 8);
  while (written < 0 && lastErrno() === EINTR) written = write(fd, ONE, 8);
  return written === 8;
}

/**
 * The same as {@linkcode signalFd} for an fd without O_NONBLOCK, whose flags
 * are not ours to change: asks first whether there is room.
 *
 * **Blocking**: only if another writer takes the room in between. **Safety**:
 * as {@linkcode signalFd}.
 */
export function signalBlockingFd(fd: number): boolean {
  return (pollFd(fd, POLLOUT, 0) & POLLOUT) !== 0 && signalFd(fd);
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
 * **Blocking**: not on a nonblocking fd, nor when epoll said that it is
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
 * Whether `drainFd` answered that there was nothing to take.
 *
 * **Safety**: compares numbers.
 */
export function isDrained(result: number): boolean {
  return result === -EAGAIN;
}

/**
 * Whether `fd` is an eventfd, by what `/proc/self/fd` says of it.
 *
 * **Safety**: looks only; false for fds that are not open.
 */
export function isEventFd(fd: number): boolean {
  return readLink(`/proc/self/fd/${fd}`) === "anon_inode:[eventfd]";
}
