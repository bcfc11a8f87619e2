/**
 * Waiting for many fds at once, without an allocation per wait.
 *
 * @module
 */
import { EINTR } from "./errno.ts";
import { array, layout, PADDING, U32 } from "./layout.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { relaxWaits } from "./wait_limit.ts";

/** There is something to read. **Safety**: a constant. */
export const EPOLLIN = 0x001;
/** Writing would not block. **Safety**: a constant. */
export const EPOLLOUT = 0x004;
/** An error; reported whether asked for or not. **Safety**: a constant. */
export const EPOLLERR = 0x008;
/** Hung up; reported whether asked for or not. **Safety**: a constant. */
export const EPOLLHUP = 0x010;
/** The peer will not send any more. **Safety**: a constant. */
export const EPOLLRDHUP = 0x2000;
/** Report changes only, not states. **Safety**: a constant. */
export const EPOLLET = 0x80000000;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

/** The kernel packs the struct on x86_64, and only there. */
const PACKED = Deno.build.arch === "x86_64";
/** The 64-bit `data` as the two words that this module puts into it. */
const DATA = array(U32, 2);
const EPOLL_EVENT = PACKED
  ? layout("epoll_event", 12, [["events", U32], ["data", DATA]])
  : layout("epoll_event", 16, [
    ["events", U32],
    ["_hole", PADDING],
    ["data", { size: DATA.size, alignment: 8 }],
  ]);
// The fields as indices of 32-bit words; both targets are little-endian.
const STRIDE = EPOLL_EVENT.size / 4;
const EVENTS = EPOLL_EVENT.at.events / 4;
const SLOT = EPOLL_EVENT.at.data / 4;
const GENERATION = SLOT + 1;

/**
 * An epoll instance. Each fd carries two numbers of the caller's, a slot and a
 * generation, which come back with its events: a slot that was reused since
 * shows by its generation.
 *
 * **Ownership**: owns the epoll fd, not the fds under watch: remove those
 * before closing them. **Safety**: {@linkcode Epoll.wait} fills a buffer of its
 * own, which the `…At` methods read until the next wait; none of them
 * allocates.
 */
export class Epoll implements Disposable {
  readonly #owned: OwnedFd;
  #fd: number;
  readonly #capacity: number;
  readonly #ready: Uint32Array<ArrayBuffer>;
  readonly #event = new Uint32Array(STRIDE);
  readonly #wait = libc().epollWait;

  /**
   * Makes an instance that reports up to `capacity` events per wait.
   *
   * @throws {OsError} If the kernel refuses (EMFILE, ENOMEM).
   */
  constructor(capacity = 64) {
    this.#owned = new OwnedFd(
      check(libc().epollCreate1(EPOLL_CLOEXEC), "epoll_create1", "epoll"),
      "epoll",
    );
    this.#fd = this.#owned.fd;
    this.#capacity = capacity;
    this.#ready = new Uint32Array(capacity * STRIDE);
  }

  /** The instance's own fd: readable when an event is waiting. */
  get fd(): number {
    return this.#owned.fd;
  }

  #control(
    operation: number,
    fd: number,
    events: number,
    slot: number,
    generation: number,
    what: string,
  ): void {
    this.#event[EVENTS] = events;
    this.#event[SLOT] = slot;
    this.#event[GENERATION] = generation;
    check(
      libc().epollCtl(this.#owned.fd, operation, fd, this.#event),
      what,
      `fd ${fd}`,
    );
  }

  /**
   * Watches `fd` for `events`.
   *
   * @throws {OsError} EPERM for files that cannot be waited for, EEXIST for one
   * that is under watch.
   */
  add(fd: number, events: number, slot: number, generation: number): void {
    this.#control(
      EPOLL_CTL_ADD,
      fd,
      events,
      slot,
      generation,
      "epoll_ctl(ADD)",
    );
  }

  /**
   * Changes what `fd` is watched for, and the numbers it carries.
   *
   * @throws {OsError} ENOENT if it is not under watch.
   */
  modify(fd: number, events: number, slot: number, generation: number): void {
    this.#control(
      EPOLL_CTL_MOD,
      fd,
      events,
      slot,
      generation,
      "epoll_ctl(MOD)",
    );
  }

  /**
   * Watches `fd` no more.
   *
   * @throws {OsError} ENOENT if it is not under watch.
   */
  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, 0, 0, "epoll_ctl(DEL)");
  }

  /**
   * Waits for events; -1 waits without a limit.
   *
   * **Blocking**: the whole isolate, up to `timeoutMs` milliseconds.
   *
   * @returns The number of events; 0 when the time is over, or when a signal
   * came in between.
   * @throws {OsError} If the instance is closed or not an epoll (a bug).
   */
  wait(timeoutMs: number): number {
    const count = this.#wait(
      this.#fd,
      this.#ready,
      this.#capacity,
      timeoutMs,
    );
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) {
      relaxWaits();
      return 0;
    }
    throw new OsError("epoll_wait", errno, "epoll");
  }

  /**
   * Waits as {@linkcode Epoll.wait} does, on a thread of its own: about 45 µs
   * slower, but the isolate goes on meanwhile. One such wait at a time; fds may
   * be added and removed during it.
   *
   * @throws {OsError} As a rejection, if the instance is closed.
   */
  async waitElsewhere(timeoutMs: number): Promise<number> {
    const count = await libc().epollWaitElsewhere(
      this.#fd,
      this.#ready,
      this.#capacity,
      timeoutMs,
    );
    // The other thread's errno is gone: asking again here returns the reason, or
    // what became ready since.
    return count < 0 ? this.wait(0) : count;
  }

  /** The events (EPOLLIN, …) of the i-th ready fd of the last wait. */
  eventsAt(i: number): number {
    return this.#ready[i * STRIDE + EVENTS]!;
  }

  /** The slot number of the i-th ready fd of the last wait. */
  slotAt(i: number): number {
    return this.#ready[i * STRIDE + SLOT]!;
  }

  /** The generation number of the i-th ready fd of the last wait. */
  generationAt(i: number): number {
    return this.#ready[i * STRIDE + GENERATION]!;
  }

  /** Closes the instance; idempotent. */
  [Symbol.dispose](): void {
    // The number may soon be another file's.
    this.#fd = -1;
    this.#owned.close();
  }
}
