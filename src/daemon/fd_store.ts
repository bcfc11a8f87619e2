/**
 * The service manager's file-descriptor store: what stays open while this
 * process is restarted, so that no output glitches and no line is taken by
 * somebody else in between.
 *
 * The main isolate has what an earlier process kept, and hands each thread its
 * share. Whatever is kept or dropped later each thread tells the manager itself.
 *
 * **Source**: sd_notify(3), FDSTORE=1; systemd 233 or newer for removals.
 *
 * @module
 */
import { connectDatagram } from "../../ffi/datagram.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLOUT } from "../../ffi/poll.ts";
import { send } from "../../ffi/unix_socket.ts";
import type { FdKeeper } from "../aggregator/fd_keeper.ts";

/** An fd that an earlier process kept; plain data that a thread can be given. */
export type KeptFd = [name: string, fd: number];

/** How long a manager with a full queue is waited for, in all 200 ms. */
const MAX_TRIES = 20;
const TRY_MS = 10;
/** Longer names are none to systemd, which would keep the fd all the same. */
const MAX_NAME_LENGTH = 255;

/** Fds in the manager's store. */
export class FdStore implements FdKeeper, Disposable {
  /** The manager's socket. */
  readonly notifySocket: string;
  readonly #manager: OwnedFd;
  readonly #onProblem: (problem: string) => void;
  /** What an earlier process left, and nobody has taken yet. */
  readonly #left = new Map<string, OwnedFd[]>();
  /** The manager did not hear the last message: nobody waits for it again. */
  #isStuck = false;

  /**
   * Begins with nothing left by anybody; `onProblem` hears of what is of no use.
   *
   * @throws {OsError} If the manager cannot be reached.
   */
  constructor(notifySocket: string, onProblem: (problem: string) => void) {
    this.notifySocket = notifySocket;
    this.#onProblem = onProblem;
    this.#manager = connectDatagram(notifySocket);
  }

  /** Names of what an earlier process left, and nobody has taken yet. */
  get leftNames(): string[] {
    return [...this.#left.keys()];
  }

  /** Has more that an earlier process left. **Ownership**: of its fds. */
  offer(kept: readonly KeptFd[]): void {
    for (const [name, fd] of kept) {
      const owned = new OwnedFd(fd, `the kept ${name}`);
      this.#left.set(name, [...this.#left.get(name) ?? [], owned]);
    }
  }

  /** Takes the share of somebody else. **Ownership**: the caller's. */
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
    if (name.length > MAX_NAME_LENGTH) return;
    this.#say(`FDSTORE=1\nFDNAME=${name}`, [fd]);
  }

  drop(name: string): void {
    this.#say(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  report(problem: string): void {
    this.#onProblem(problem);
  }

  /** Lets those go that nobody has taken: nobody wants them any more. */
  dropRest(): void {
    for (const [name, fds] of this.#left) {
      this.drop(name);
      this.report(`what was kept as ${name} is not wanted any more: let go`);
      for (const fd of fds) fd.close();
    }
    this.#left.clear();
  }

  [Symbol.dispose](): void {
    for (const fds of this.#left.values()) for (const fd of fds) fd.close();
    this.#left.clear();
    this.#manager.close();
  }

  #say(text: string, fds: readonly number[] = []): void {
    const wasStuck = this.#isStuck;
    this.#isStuck = !this.#isHeard(new TextEncoder().encode(text), fds);
    if (!this.#isStuck || wasStuck) return;
    // The lines are served all the same, and are requested anew after a restart.
    this.#onProblem(
      "the service manager does not take what it is to keep: what is not kept " +
        "may change for a moment at the next restart",
    );
  }

  #isHeard(bytes: Uint8Array, fds: readonly number[]): boolean {
    try {
      // Its queue may be as short as ten messages, and a service has more lines.
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
