/**
 * Chips that come and go: observers of changes in `/dev`.
 *
 * @module
 */
import { EPOLLIN } from "../../../ffi/epoll.ts";
import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  readChangedNames,
  watchDirectory,
} from "../../../ffi/inotify.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { withOneScan } from "../../gpio/lookup.ts";
import type { EventLoop, Timer, Watch } from "../../reactor/event_loop.ts";

/** A line that cares whether its chip is there. */
export interface PresentLine {
  /** True while the chip is away. */
  readonly isAbsent: boolean;
  /** Looks whether the chip is still there. */
  checkChip(): void;
  /**
   * Takes the line again if its chip is there.
   *
   * @returns Whether to ask again soon: the chip is there, but not to be had.
   */
  takeBack(): boolean;
}

/** Names settle: a driver makes several chips, rules of udev's set owners. */
const SETTLE_MS = 5;
/** Interval at which chips that cannot be had yet are asked for again. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/**
 * Time after a change of `/dev` for which absent lines are looked for: rules of
 * udev's make links in directories below, some time after the device file.
 */
const SETTLED_MS = 10_000;

/**
 * Watches `/dev` for the lines of one loop. At rest nothing wakes: the kernel
 * tells of changes, and only what is there but cannot be had, or was not there
 * right after a change, is asked for again at growing intervals.
 */
export class ChipPresence implements Disposable {
  readonly #loop: EventLoop;
  readonly #lines = new Set<PresentLine>();
  #directory: OwnedFd | undefined;
  #watch: Watch | undefined;
  #timer: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #chipsChanged = false;
  /** Time of the last change of `/dev`. **Units**: ms of `performance.now`. */
  #changedAt = -Infinity;

  /** Watches in `loop` from the first line on. */
  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** Notifies a line of changes until the result is disposed. */
  add(line: PresentLine): Disposable {
    this.#lines.add(line);
    if (this.#directory === undefined) this.#begin();
    return { [Symbol.dispose]: () => this.#remove(line) };
  }

  /** A line lost its chip, or was made without one: it may be back already. */
  lost(): void {
    this.#scanIn(SETTLE_MS);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#directory?.close();
    this.#directory = undefined;
  }

  #begin(): void {
    try {
      this.#directory = watchDirectory(
        "/dev",
        IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
      );
    } catch (error) {
      if (!isOsError(error)) throw error;
      // Without it lines are asked for again now and then while they are away.
      return;
    }
    const { fd } = this.#directory;
    this.#watch = this.#loop.watch(fd, EPOLLIN, () => this.#changed(fd));
  }

  #remove(line: PresentLine): void {
    this.#lines.delete(line);
    if (this.#lines.size === 0) this[Symbol.dispose]();
  }

  #changed(fd: number): void {
    // Any of them may be a chip's: a device file may have any name.
    if (readChangedNames(fd).length === 0) return;
    this.#chipsChanged = true;
    this.#changedAt = performance.now();
    this.#retryMs = FIRST_RETRY_MS;
    this.#scanIn(SETTLE_MS);
  }

  #scanIn(ms: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#loop.after(ms, () => this.#scan());
  }

  #scan(): void {
    this.#timer = undefined;
    const lines = [...this.#lines];
    if (this.#chipsChanged) {
      this.#chipsChanged = false;
      for (const line of lines) if (!line.isAbsent) line.checkChip();
    }
    const absent = lines.filter(({ isAbsent }) => isAbsent);
    const isUnsettled = withOneScan(() => absent.map((line) => line.takeBack()))
      .some((again) => again);
    const isWatched = this.#watch !== undefined &&
      performance.now() - this.#changedAt > SETTLED_MS;
    const isMissing = absent.some(({ isAbsent }) => isAbsent);
    if (!isUnsettled && (isWatched || !isMissing)) {
      this.#retryMs = FIRST_RETRY_MS;
      return;
    }
    // A line that was notified of its chip may have set the timer by now.
    if (this.#timer === undefined) this.#scanIn(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }
}
