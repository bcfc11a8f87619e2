/**
 * Frontends that connect while another one is served. They are accepted, so
 * that their credentials are known, and read only once it is their turn.
 *
 * @module
 */
import { EPOLLIN, EPOLLRDHUP } from "../../ffi/epoll.ts";
import { hangUpElsewhere } from "../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";
import type { PeerProcess } from "./peer_process.ts";

/** Frontends that may wait; more of them stay in the listener's backlog. */
export const MAX_WAITING = 4;

/** One frontend that waits. */
interface Waiting {
  /** Its connection. **Ownership**: the line's until it is taken. */
  readonly connection: OwnedFd;
  /** Its process. */
  readonly peer: PeerProcess;
  /** Time of its arrival. **Units**: monotonic milliseconds. */
  readonly since: number;
  /** Its place among the process's descriptors, until it waits no more. */
  readonly room: Disposable;
  /** True once it has sent anything: a VMM does so at once. */
  hasSpoken: boolean;
  /** True once its wait was reported. */
  isReported: boolean;
}

/** The frontends that wait at one socket, oldest first. */
export class WaitingLine implements Disposable {
  readonly #loop: EventLoop;
  readonly #share: TimeShare;
  readonly #onGone: () => void;
  readonly #members: { waiting: Waiting; watch: Watch }[] = [];

  /** `onGone` is called when one of them has hung up. */
  constructor(loop: EventLoop, share: TimeShare, onGone: () => void) {
    this.#loop = loop;
    this.#share = share;
    this.#onGone = onGone;
  }

  /** Waiting connections, oldest first. */
  get members(): readonly Waiting[] {
    return this.#members.map(({ waiting }) => waiting);
  }

  /**
   * Lets a frontend wait. **Ownership**: the connection is taken over.
   *
   * @throws {OsError} If it cannot be watched; it is closed then.
   */
  add(
    connection: OwnedFd,
    peer: PeerProcess,
    now: number,
    room: Disposable,
  ): void {
    const waiting: Waiting = {
      connection,
      peer,
      since: now,
      room,
      hasSpoken: false,
      isReported: false,
    };
    try {
      const watch = this.#loop.watch(
        connection.fd,
        EPOLLIN | EPOLLRDHUP,
        (events) => {
          if ((events & ~EPOLLIN) !== 0) {
            this.drop(waiting);
            this.#onGone();
            return;
          }
          // Its first message stays where it is.
          waiting.hasSpoken = true;
          watch.update(EPOLLRDHUP);
        },
        this.#share,
      );
      this.#members.push({ waiting, watch });
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /**
   * Takes the one whose turn it is: the first that has sent anything, or else
   * the first. **Ownership**: of its connection, the caller's.
   */
  take(): Waiting | undefined {
    const { members } = this;
    const next = members.find(({ hasSpoken }) => hasSpoken) ?? members[0];
    if (next !== undefined) this.#remove(next);
    return next;
  }

  /** Hangs up on one of them. */
  drop(waiting: Waiting): void {
    this.#remove(waiting);
    hangUpElsewhere(waiting.connection);
  }

  #remove(waiting: Waiting): void {
    const index = this.#members.findIndex((one) => one.waiting === waiting);
    if (index < 0) return;
    this.#members[index]!.watch[Symbol.dispose]();
    this.#members.splice(index, 1);
    waiting.room[Symbol.dispose]();
  }

  /** Hangs up on all of them. */
  [Symbol.dispose](): void {
    for (const waiting of this.members) this.drop(waiting);
  }
}
