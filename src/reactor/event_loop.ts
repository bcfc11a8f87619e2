/**
 * Services of the reactor for code that lives in it. Implemented by {@linkcode
 * ../reactor/reactor.ts}; tests bring their own.
 *
 * **Budgets.** Work that a peer causes (a guest, a VMM, a client of a socket)
 * belongs to that peer's {@linkcode TimeShare}, and stops when its slice is
 * used up. The pattern for a socket:
 *
 *     const share = loop.share();                     // one per peer
 *     loop.watch(fd, EPOLLIN, () => {
 *       do {
 *         if (!serveOneMessage()) return;             // nothing left
 *       } while (!share.isSpent);
 *       // Level-triggered: what is left is reported again. The loop calls this
 *       // handler once the peer's turn comes, and not before.
 *     }, share);
 *
 * Work that no fd reports again is put off with `share.defer(task)`. A single
 * unit (one message, one line) should cost less than a slice: what exceeds it
 * is paid back by a rest of this peer while others are active.
 *
 * @module
 */

/** A file descriptor under watch. Disposing ends the watch, not the fd. */
export interface Watch extends Disposable {
  /** Changes the epoll event mask. */
  update(events: number): void;
  /**
   * Counts that its handler threw, where the loop does not see that. One that
   * does so again and again is not called any more.
   */
  failed(): void;
}

/** A deadline that has been set. Disposing cancels it; idempotent. */
export type Timer = Disposable;

/**
 * One peer's part of the loop's time. All watches and tasks of a peer use the
 * same one, so that more connections bring no more time.
 */
export interface TimeShare {
  /** True once the peer's slice of this turn is used up. Reads the clock. */
  readonly isSpent: boolean;
  /**
   * Takes units of work (requests, descriptors) of some microseconds at most.
   * Cheaper than {@linkcode TimeShare.isSpent}: the clock is read once in
   * several units.
   *
   * @returns True while more may be taken in this turn.
   */
  take(units: number): boolean;
  /** Calls `task` when the peer's next turn comes, in the order of the calls. */
  defer(task: () => void): void;
}

/** Time and share for which a target is looked at. May change at any time. */
export interface PollSettings {
  /** Time without news after which polling ends; 0: never polled. **Units**: µs. */
  periodUs: number;
  /** Part of a CPU that polling takes at most. **Units**: percent, from 1. */
  sharePercent: number;
}

/** Options of a share. */
export interface ShareOptions {
  /**
   * Another share of the same peer: neither of them makes the other's slices
   * shorter.
   */
  readonly partner?: TimeShare;
  /**
   * True for work that is due at given times, such as the steps of a play: its
   * slices are those of any peer, but one that took longer is followed by no
   * rest, in which the next steps would become late. Units that take long by the
   * processor's time again and again are, as any peer's.
   */
  readonly isPunctual?: boolean;
  /**
   * True if what is behind the peer waits for a limited time, such as a driver of
   * a USB adapter: a rest after units that take long by the processor's time is
   * 5 ms at most, where others rest for up to 1 s. For peers whose units are
   * long on slow machines alone.
   */
  readonly hasDeadline?: boolean;
}

/** Shared memory that can be looked at instead of waiting for a notification. */
export interface PollTarget {
  /** True if there is work. Read again and again: some loads. */
  readonly hasNews: boolean;
  /** Does the work that was found. */
  serveNews(): void;
  /** Puts it off to the peer's next turn. Idempotent. */
  serveLater(): void;
  /** Polling is over: asks for notifications, and does what came meanwhile. */
  pollEnded(): void;
}

/** The polling of one target. */
export interface Poll {
  /** True while the target is looked at. */
  readonly isActive: boolean;
  /**
   * Is called after work that a notification announced: looks at the target from
   * now on, if that is likely to be worth it.
   *
   * @returns True if it is looked at now: no notification is needed.
   */
  begin(): boolean;
  /** Looks at it no more; {@linkcode PollTarget.pollEnded} is not called. */
  stop(): void;
}

/** The single-threaded loop that every line and every session runs in. */
export interface EventLoop {
  /** Clock of its deadlines. **Units**: milliseconds, monotonic. */
  readonly now: number;
  /**
   * Calls `onReady` with the epoll events each time `fd` is ready.
   *
   * A watch that is disposed is never called again, not even for an event of
   * the turn under way. **Ownership**: the fd stays the caller's, who disposes
   * the watch before closing it.
   *
   * @param share The peer that causes the events, if one does: while its turn
   * has not come, the event is kept for it and wakes nothing.
   * @throws {OsError} If the kernel refuses the fd (EPERM for regular files).
   */
  watch(
    fd: number,
    events: number,
    onReady: (events: number) => void,
    share?: TimeShare,
  ): Watch;
  /** Calls `onElapsed` once, `ms` milliseconds from now or a little later. */
  after(ms: number, onElapsed: () => void): Timer;
  /** Calls `task` in a later turn, after the fds that are ready by then. */
  defer(task: () => void): void;
  /**
   * Makes the share of one more peer.
   *
   * @param onError Takes what its handlers and tasks throw.
   */
  share(
    onError?: (error: unknown) => void,
    options?: ShareOptions,
  ): TimeShare;
  /**
   * Makes the polling of a target of the peer with this share; absent, or without
   * a result, in loops that only wait.
   */
  poll?(
    target: PollTarget,
    settings: PollSettings,
    share: TimeShare,
  ): Poll | undefined;
  /**
   * Calls `check` at the end of each turn in which a guarded mapping turned out
   * to lack pages of its file, see {@linkcode ../../ffi/mapping.ts}. Disposing
   * ends that.
   */
  onMemoryFault(check: () => void): Disposable;
}
