/**
 * What code that lives in the reactor may ask of it. Implemented by
 * {@linkcode ../reactor/reactor.ts}; tests bring their own.
 *
 * @module
 */

/** A file descriptor under watch. Disposing ends the watch, not the fd. */
export interface Watch extends Disposable {
  /** Changes the epoll event mask. */
  update(events: number): void;
}

/** A deadline that has been set. Disposing cancels it; idempotent. */
export type Timer = Disposable;

/** The single-threaded loop that every line and every session runs in. */
export interface EventLoop {
  /**
   * Calls `onReady` with the epoll events each time `fd` is ready.
   *
   * A watch that is disposed is never called again, not even for an event of
   * the turn under way. **Ownership**: the fd stays the caller's, who disposes
   * the watch before closing it.
   *
   * @throws {OsError} If the kernel refuses the fd (EPERM for regular files).
   */
  watch(fd: number, events: number, onReady: (events: number) => void): Watch;
  /** Calls `onElapsed` once, `ms` milliseconds from now or a little later. */
  after(ms: number, onElapsed: () => void): Timer;
  /** Calls `task` in the next turn, after the fds that are ready by then. */
  defer(task: () => void): void;
}
