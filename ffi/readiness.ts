/**
 * Waiting for fds without stopping the isolate: one helper thread for all of
 * them, and only while a wait is under way.
 *
 * @module
 */
import { Epoll, EPOLLIN } from "./epoll.ts";
import { createEventFd, drainFd, signalFd } from "./event_fd.ts";
import type { OwnedFd } from "./owned_fd.ts";

/**
 * A wait that is under way.
 *
 * **Safety**: plain data; see {@linkcode whenReadable}.
 */
export interface ReadinessWait {
  /**
   * Resolves to true once the fd is readable (or hung up, or in error), to
   * false if the wait is cancelled.
   */
  readonly ready: Promise<boolean>;
  /**
   * Ends the wait; the fd may be closed as soon as this returns. Idempotent.
   */
  cancel(): void;
}

/** Everybody who waits for one fd, by what to call. */
type Waiters = Set<(ready: boolean) => void>;

/** One epoll instance, one wait on another thread, while there is a reason. */
class Waiting {
  readonly #epoll = new Epoll(32);
  readonly #wake: OwnedFd = createEventFd();
  readonly #waiters = new Map<number, Waiters>();
  #cancelled: (() => void)[] = [];

  constructor() {
    this.#epoll.add(this.#wake.fd, EPOLLIN, this.#wake.fd, 0);
  }

  add(fd: number): ReadinessWait {
    let waiters = this.#waiters.get(fd);
    if (waiters === undefined) {
      this.#epoll.add(fd, EPOLLIN, fd, 0);
      waiters = new Set();
      this.#waiters.set(fd, waiters);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    waiters.add(resolve);
    return {
      ready: promise,
      cancel: () => {
        if (!waiters.delete(resolve)) return;
        if (waiters.size === 0) this.#forget(fd);
        // Delivered when the other thread is back: then nothing of it is left.
        this.#cancelled.push(() => resolve(false));
        signalFd(this.#wake.fd);
      },
    };
  }

  #forget(fd: number): void {
    this.#waiters.delete(fd);
    this.#epoll.remove(fd);
  }

  /** Waits until no wait is left; then `onIdle`, before anything else runs. */
  async run(onIdle: () => void): Promise<void> {
    try {
      while (this.#waiters.size > 0 || this.#cancelled.length > 0) {
        const count = await this.#epoll.waitElsewhere(-1);
        const cancelled = this.#cancelled;
        this.#cancelled = [];
        for (let i = 0; i < count; i++) this.#report(this.#epoll.slotAt(i));
        for (const tell of cancelled) tell();
      }
    } finally {
      onIdle();
      this.close();
    }
  }

  #report(fd: number): void {
    if (fd === this.#wake.fd) {
      drainFd(fd);
      return;
    }
    // Cancelled, while the other thread was on its way back.
    const waiters = this.#waiters.get(fd);
    if (waiters === undefined) return;
    this.#forget(fd);
    const told = [...waiters];
    waiters.clear();
    for (const tell of told) tell(true);
  }

  close(): void {
    this.#epoll[Symbol.dispose]();
    this.#wake.close();
  }
}

let waiting: Waiting | undefined;

/**
 * Waits until `fd` is readable, hung up or in error, without stopping the
 * isolate. Any number of such waits share one thread, which is there only while
 * one is under way; the process lives as long.
 *
 * @throws {OsError} EPERM for files that cannot be waited for, EBADF.
 *
 * **Ownership**: the fd stays the caller's, who cancels the wait before closing
 * it. **Safety**: a readiness may be stale by the time it is reported, so read
 * nonblocking.
 */
export function whenReadable(fd: number): ReadinessWait {
  if (waiting !== undefined) return waiting.add(fd);
  const started = new Waiting();
  let wait: ReadinessWait;
  try {
    wait = started.add(fd);
  } catch (error) {
    started.close();
    throw error;
  }
  waiting = started;
  void started.run(() => waiting = undefined);
  return wait;
}
