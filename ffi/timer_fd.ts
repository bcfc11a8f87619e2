/**
 * Timers of the kernel as fds, exact to some microseconds, where `epoll_wait`
 * counts milliseconds.
 *
 * @module
 */
import { I64, layout } from "./layout.ts";
import { check } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";

const SYMBOLS = {
  /** int timerfd_create(int clock, int flags) */
  timerfdCreate: {
    name: "timerfd_create",
    parameters: ["i32", "i32"],
    result: "i32",
  },
  /** int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old) */
  timerfdSettime: {
    name: "timerfd_settime",
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const ITIMERSPEC = layout("itimerspec", 32, [
  ["it_interval_sec", I64],
  ["it_interval_nsec", I64],
  ["it_value_sec", I64],
  ["it_value_nsec", I64],
]);
const CLOCK_MONOTONIC = 1;
const TFD_CLOEXEC = 0o2000000;
const TFD_NONBLOCK = 0o4000;
const TFD_TIMER_ABSTIME = 1;
const NS_PER_S = 1e9;
const TWO_32 = 2 ** 32;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/**
 * A timer whose fd becomes readable at a time.
 *
 * **Ownership**: of its fd. **Safety**: a plain fd; the kernel reads the time
 * from a buffer of this object.
 */
export class TimerFd implements Disposable {
  readonly #fd: OwnedFd;
  readonly #spec = new Uint8Array(ITIMERSPEC.size);
  readonly #view = new DataView(this.#spec.buffer);

  /**
   * Makes a timer that is not set.
   *
   * @throws {OsError} EMFILE.
   */
  constructor() {
    const flags = TFD_CLOEXEC | TFD_NONBLOCK;
    this.#fd = new OwnedFd(
      check(
        symbols().timerfdCreate(CLOCK_MONOTONIC, flags),
        "timerfd_create",
        "a timer",
      ),
      "timerfd",
    );
  }

  /** The fd, which is readable once the time has come. */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Sets the time, instead of the one before: the fd is not readable until then.
   * One that is over comes at once.
   *
   * @param ns Time of the monotonic clock. **Units**: nanoseconds, above 0.
   */
  set(ns: number): void {
    const seconds = Math.floor(ns / NS_PER_S);
    // 0 would stop it.
    const rest = Math.max(1, Math.floor(ns - seconds * NS_PER_S));
    this.#write(Math.max(0, seconds), rest);
  }

  /** Lets the time not come: the fd is not readable any more. */
  stop(): void {
    this.#write(0, 0);
  }

  #write(seconds: number, ns: number): void {
    const { it_value_sec, it_value_nsec } = ITIMERSPEC.at;
    // No BigInt, which would be an object for each time.
    this.#view.setUint32(it_value_sec, seconds % TWO_32, true);
    this.#view.setUint32(it_value_sec + 4, seconds / TWO_32, true);
    this.#view.setUint32(it_value_nsec, ns, true);
    check(
      symbols().timerfdSettime(
        this.#fd.fd,
        TFD_TIMER_ABSTIME,
        this.#spec,
        null,
      ),
      "timerfd_settime",
      "a timer",
    );
  }

  /** Closes the fd. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
