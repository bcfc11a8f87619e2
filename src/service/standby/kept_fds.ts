/**
 * Descriptors that a keeper holds for its service, as a service manager's store
 * does: several may have one name, and one descriptor is held once.
 *
 * @module
 */
import { fdStatus } from "../../../ffi/file_status.ts";
import { closeElsewhere } from "../../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { isSameOpenFile } from "../../../ffi/process.ts";
import type { KeptFd } from "../restart/manager_fd_store.ts";

/** The store. **Ownership**: of all that it holds. */
export class KeptFds implements Disposable {
  /** Descriptors that it holds at most. */
  readonly limit: number;
  readonly #byName = new Map<string, OwnedFd[]>();
  #size = 0;

  /** Begins empty. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Number of descriptors. */
  get size(): number {
    return this.#size;
  }

  /**
   * Holds a descriptor. **Ownership**: taken; closed where there is no room.
   *
   * @returns False if it is not new, or there is no room.
   */
  keep(name: string, fd: OwnedFd): boolean {
    const held = this.#byName.get(name) ?? [];
    if (
      this.#size >= this.limit || held.some((one) => isSame(one.fd, fd.fd))
    ) {
      closeElsewhere([fd]);
      return false;
    }
    this.#byName.set(name, [...held, fd]);
    this.#size++;
    return true;
  }

  /** Closes what has this name. */
  drop(name: string): void {
    const fds = this.#byName.get(name) ?? [];
    this.#byName.delete(name);
    this.#size -= fds.length;
    closeElsewhere(fds);
  }

  /** Lists what it holds. **Ownership**: stays here. */
  list(): KeptFd[] {
    return [...this.#byName].flatMap(([name, fds]) =>
      fds.map((fd): KeptFd => [name, fd.fd])
    );
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#byName.keys()]) this.drop(name);
  }
}

/** Returns true for copies of one open file, as far as the kernel shows. */
function isSame(one: number, other: number): boolean {
  if (isSameOpenFile(one, other)) return true;
  const [a, b] = [fdStatus(one), fdStatus(other)];
  // Event fds and line requests share one file.
  return (a.kind === "socket" || a.kind === "regular file") &&
    a.kind === b.kind && a.identity === b.identity;
}
