/**
 * Keeps fds as a service manager does, within one process: a restart is a call.
 *
 * @module
 */
import { duplicate } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { FdKeeper } from "../../src/aggregator/fd_keeper.ts";

/** A keeper whose store can be looked at. */
export class KeeperDouble implements FdKeeper, Disposable {
  /** What it was told of useless fds. */
  readonly problems: string[] = [];
  readonly #stored = new Map<string, OwnedFd>();
  readonly #offered = new Map<string, OwnedFd[]>();

  /** Names of what is kept. */
  get names(): string[] {
    return [...this.#stored.keys()];
  }

  /** Another process begins: it finds what is kept. */
  restart(): void {
    for (const [name, fd] of this.#stored) this.offer(name, duplicate(fd.fd));
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
