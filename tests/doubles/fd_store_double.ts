/**
 * Keeps fds as a service manager does, within one process: a restart is a call.
 *
 * @module
 */
import { duplicate } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { FdStore } from "../../src/aggregator/restart/fd_store.ts";

/** A store whose store can be looked at. */
export class FdStoreDouble implements FdStore, Disposable {
  /** Problems of useless fds that were reported to it. */
  readonly problems: string[] = [];
  readonly #stored = new Map<string, OwnedFd>();
  readonly #offered = new Map<string, OwnedFd[]>();

  /** Names of what is kept. */
  get names(): string[] {
    return [...this.#stored.keys()];
  }

  /** Number of requests to keep something. */
  keeps = 0;

  /**
   * The process that had this is dead, and says no more; the next one has what
   * this returns. **Ownership**: the caller's.
   */
  restart(): FdStoreDouble {
    const next = new FdStoreDouble();
    for (const [name, fd] of this.#stored) {
      next.#stored.set(name, duplicate(fd.fd));
      next.offer(name, duplicate(fd.fd));
    }
    this[Symbol.dispose]();
    return next;
  }

  /** Has the next process find this, whatever it is. */
  offer(name: string, fd: OwnedFd): void {
    this.#offered.set(name, [...this.#offered.get(name) ?? [], fd]);
  }

  take(name: string): OwnedFd[] {
    const fds = this.#offered.get(name) ?? [];
    this.#offered.delete(name);
    return fds;
  }

  keep(name: string, fd: number): void {
    this.keeps++;
    this.drop(name);
    this.#stored.set(name, duplicate(fd));
  }

  drop(name: string): void {
    this.#stored.get(name)?.close();
    this.#stored.delete(name);
  }

  report(problem: string): void {
    this.problems.push(problem);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#stored.values()) fd.close();
    for (const fds of this.#offered.values()) for (const fd of fds) fd.close();
    this.#stored.clear();
    this.#offered.clear();
  }
}
