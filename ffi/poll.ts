/**
 * Blocking waits for a few fds: for command-line programs and libraries, not
 * for the reactor.
 *
 * @module
 */
import { EINTR } from "./errno.ts";
import { I32, layout, U16 } from "./layout.ts";
import { lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

/** There is something to read. **Safety**: a constant. */
export const POLLIN = 0x001;
/** Writing would not block. **Safety**: a constant. */
export const POLLOUT = 0x004;
/** An error, for tests; reported unasked. **Safety**: a constant. */
export const POLLERR = 0x008;
/** Hung up; reported whether asked for or not. **Safety**: a constant. */
export const POLLHUP = 0x010;
/** A socket's peer sends no more. **Safety**: a constant. */
export const POLLRDHUP = 0x2000;
/** The fd is not open; for tests. **Safety**: a constant. */
export const POLLNVAL = 0x020;

const POLL_FD = layout("pollfd", 8, [
  ["fd", I32],
  ["events", U16],
  ["revents", U16],
]);
const one = new Int32Array(POLL_FD.size / 4);

function poll(
  target: Int32Array<ArrayBuffer>,
  count: number,
  timeoutMs: number,
): void {
  const deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
  let left = timeoutMs < 0 ? -1 : Math.ceil(timeoutMs);
  while (libc().poll(target, count, left) < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new OsError("poll", errno, `${count} fds`);
    if (deadline !== Infinity) {
      left = Math.max(0, Math.ceil(deadline - performance.now()));
    }
  }
}

/**
 * Waits until `fd` is ready for `events`.
 *
 * @param timeoutMs Milliseconds; -1 waits without a limit, 0 only looks.
 * @returns What it is ready for (POLLIN, …, and POLLERR, POLLHUP, POLLNVAL
 * unasked), 0 when the time is over.
 * @throws {OsError} If the kernel refuses (ENOMEM).
 *
 * **Blocking**: the whole isolate; a signal does not cut it short. **Safety**:
 * uses a buffer of this module.
 */
export function pollFd(fd: number, events: number, timeoutMs: number): number {
  one[0] = fd;
  one[1] = events;
  poll(one, 1, timeoutMs);
  return one[1]! >>> 16;
}

/**
 * Waits until one of several fds is readable, hung up or in error.
 *
 * @param fds The fds, in the caller's order.
 * @param timeoutMs Milliseconds; -1 waits without a limit, 0 only looks.
 * @returns What each of them is ready for, in the same order; all 0 when the
 * time is over.
 * @throws {OsError} If the kernel refuses (EINVAL: more fds than the process may
 * have).
 *
 * **Blocking**: the whole isolate; a signal does not cut it short. **Safety**:
 * the kernel checks the fds; one that is not open shows as POLLNVAL.
 */
export function pollReadable(
  fds: readonly number[],
  timeoutMs: number,
): number[] {
  // An empty array would reach C as NULL, which poll takes with a count of 0.
  const target = new Int32Array(Math.max(1, fds.length) * 2);
  for (const [i, fd] of fds.entries()) {
    target[2 * i] = fd;
    target[2 * i + 1] = POLLIN;
  }
  poll(target, fds.length, timeoutMs);
  return fds.map((_, i) => target[2 * i + 1]! >>> 16);
}
