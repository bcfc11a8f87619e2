/**
 * Timers as fds, for whoever waits with epoll or poll and needs finer steps
 * than their milliseconds.
 *
 * @module
 */
import { I64, layout, LITTLE_ENDIAN } from "./layout.ts";
import { check, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";

const CLOCK_MONOTONIC = 1;
const TFD_CLOEXEC = 0o2000000;
const TFD_NONBLOCK = 0o4000;
const NS_PER_SECOND = 1_000_000_000;

const TIMESPEC = layout("timespec", 16, [["tv_sec", I64], ["tv_nsec", I64]]);
const ITIMERSPEC = layout("itimerspec", 32, [
  ["it_interval", TIMESPEC],
  ["it_value", TIMESPEC],
]);

const bytes = new Uint8Array(ITIMERSPEC.size);
const view = new DataView(bytes.buffer);

/**
 * Makes a timer that is not set yet: CLOCK_MONOTONIC, nonblocking,
 * close-on-exec. Its fd becomes readable when the time is over; {@linkcode
 * drainFd} takes that back.
 *
 * @throws {OsError} If the kernel refuses (EMFILE).
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function createTimerFd(): OwnedFd {
  return new OwnedFd(
    check(
      libc().timerfdCreate(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
      "timerfd_create",
      "a timer",
    ),
    "timer",
  );
}

function put(at: number, ns: number): void {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  view.setBigInt64(
    at + TIMESPEC.at.tv_sec,
    BigInt(seconds),
    LITTLE_ENDIAN,
  );
  view.setBigInt64(
    at + TIMESPEC.at.tv_nsec,
    BigInt(ns - seconds * NS_PER_SECOND),
    LITTLE_ENDIAN,
  );
}

/**
 * Sets a timer, whatever it was set to.
 *
 * @param timer The owner of the fd.
 * @param delayNs When it goes off, in nanoseconds from now; 0 stops it.
 * @param intervalNs How often afterwards, in nanoseconds; once if left out.
 * @throws {RangeError} If a time is not a whole number from 0 to 2^53.
 * @throws {OsError} If the kernel refuses.
 *
 * **Safety**: uses a buffer of this module, copied by the kernel.
 */
export function setTimerFd(
  timer: OwnedFd,
  delayNs: number,
  intervalNs = 0,
): void {
  for (const ns of [delayNs, intervalNs]) {
    if (!Number.isSafeInteger(ns) || ns < 0) {
      throw new RangeError(
        `Cannot set a timer to ${ns} ns: a whole number from 0 on is needed`,
      );
    }
  }
  put(ITIMERSPEC.at.it_value, delayNs);
  put(ITIMERSPEC.at.it_interval, intervalNs);
  check(
    libc().timerfdSettime(timer.fd, 0, bytes, null),
    "timerfd_settime",
    timer.what,
  );
}
