/**
 * The service manager's file-descriptor store: keeps fds open while this
 * process is restarted, so that no output glitches and no other program takes a
 * line in between.
 *
 * The main isolate receives the fds of an earlier process, and gives each
 * thread its share. Later each thread reports new and removed fds to the
 * manager itself.
 *
 * **Source**: sd_notify(3), FDSTORE=1; systemd 233 or newer for removals.
 *
 * @module
 */
import { connectDatagram } from "../../../ffi/datagram.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { pollFd, POLLOUT } from "../../../ffi/poll.ts";
import { send } from "../../../ffi/socket_message.ts";
import {
  type FdStore,
  MAX_NAME_LENGTH,
} from "../../aggregator/restart/fd_store.ts";
import { encodeNotification } from "./notification.ts";

/** A kept fd of an earlier process; plain data that can be sent to a thread. */
export type KeptFd = [name: string, fd: number];

/** Interval of retries while the manager's queue is full, 200 ms in all. */
const MAX_TRIES = 20;
const TRY_MS = 10;

/** Fds in the manager's store. */
export class ManagerFdStore implements FdStore, Disposable {
  /** The manager's socket. */
  readonly notifySocket: string;
  /** Descriptors that the manager keeps at most, where it says so. */
  limit: number | undefined;
  /**
   * Descriptor that each process which holds lines keeps open too, if a keeper
   * waits for the last of them.
   */
  lifeFd: number | undefined;
  /** See {@linkcode FdStore.leaves}; what is not taken is kept too, then. */
  leaves = false;
  readonly #manager: OwnedFd;
  readonly #onProblem: (problem: string) => void;
  /** Fds of an earlier process that are not taken yet. */
  readonly #left = new Map<string, OwnedFd[]>();
  /**
   * Set if the manager did not get the last message: there is no further wait.
   */
  #isStuck = false;

  /**
   * Begins empty; `onProblem` receives the text of each fd that cannot be used.
   *
   * @throws {OsError} If the manager cannot be reached.
   */
  constructor(notifySocket: string, onProblem: (problem: string) => void) {
    this.notifySocket = notifySocket;
    this.#onProblem = onProblem;
    this.#manager = connectDatagram(notifySocket);
  }

  /** Names of an earlier process's fds that are not taken yet. */
  get leftNames(): string[] {
    return [...this.#left.keys()];
  }

  /** Adds fds that an earlier process left. **Ownership**: of its fds. */
  offer(kept: readonly KeptFd[]): void {
    for (const [name, fd] of kept) {
      const owned = new OwnedFd(fd, `the kept ${name}`);
      this.#left.set(name, [...this.#left.get(name) ?? [], owned]);
    }
  }

  /** Takes the share of another thread. **Ownership**: the caller's. */
  share(names: Iterable<string>): KeptFd[] {
    return [...names].flatMap((name) =>
      this.take(name).map((fd): KeptFd => [name, fd.release()])
    );
  }

  take(name: string): OwnedFd[] {
    const fds = this.#left.get(name) ?? [];
    this.#left.delete(name);
    return fds;
  }

  keep(name: string, fd: number): void {
    // It would keep the fd, without its name.
    if (name.length > MAX_NAME_LENGTH) return;
    this.#say(encodeNotification("FDSTORE=1", `FDNAME=${name}`), [fd]);
  }

  drop(name: string): void {
    this.#say(encodeNotification("FDSTOREREMOVE=1", `FDNAME=${name}`));
  }

  report(problem: string): void {
    this.#onProblem(problem);
  }

  /** Closes fds that were not taken: they are not needed any more. */
  dropRest(): void {
    if (this.leaves) return;
    for (const [name, fds] of this.#left) {
      this.drop(name);
      this.report(`the fd kept as ${name} is not needed any more: closed`);
      for (const fd of fds) fd.close();
    }
    this.#left.clear();
  }

  [Symbol.dispose](): void {
    for (const fds of this.#left.values()) for (const fd of fds) fd.close();
    this.#left.clear();
    this.#manager.close();
  }

  #say(message: Uint8Array, fds: readonly number[] = []): void {
    const wasStuck = this.#isStuck;
    this.#isStuck = !this.#isHeard(message, fds);
    if (!this.#isStuck || wasStuck) return;
    // The lines are served all the same, and are requested anew after a
    // restart.
    this.#onProblem(
      "the service manager does not store fds: lines that are not kept " +
        "may change for a moment at the next restart",
    );
  }

  #isHeard(bytes: Uint8Array, fds: readonly number[]): boolean {
    try {
      // Its queue may hold only ten messages, and a service has more lines.
      for (let tries = this.#isStuck ? MAX_TRIES : 1;; tries++) {
        if (send(this.#manager.fd, bytes, fds) >= 0) return true;
        if (tries >= MAX_TRIES) return false;
        pollFd(this.#manager.fd, POLLOUT, TRY_MS);
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
      return false;
    }
  }
}
