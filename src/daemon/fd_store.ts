/**
 * The service manager's file-descriptor store: line requests that stay open
 * while this process is restarted, so that no output glitches and no line is
 * taken by somebody else in between.
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
import type { LineKeeper } from "../aggregator/line_keeper.ts";

/** What a store begins with; plain data that can be handed to a thread. */
export interface FdStoreStart {
  /** The manager's socket. */
  notifySocket: string;
  /** Requests of an earlier process, by name. */
  kept: [name: string, fd: number][];
}

const PREFIX = "line.";
/** How long a manager with a full queue is waited for, in all 200 ms. */
const MAX_TRIES = 20;
const TRY_MS = 10;

/** Whether an fd of this name is a line's. */
export function isLineName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Line requests in the manager's store. */
export class FdStore implements LineKeeper, Disposable {
  readonly #manager: OwnedFd;
  /** What an earlier process left, and nobody has taken yet. */
  readonly #left = new Map<string, OwnedFd>();

  /**
   * Begins with what an earlier process left. **Ownership**: of its fds.
   *
   * @throws {OsError} If the manager cannot be reached.
   */
  constructor({ notifySocket, kept }: FdStoreStart) {
    this.#manager = connectDatagram(notifySocket);
    for (const [name, fd] of kept) {
      this.#left.set(name, new OwnedFd(fd, `the kept request ${name}`));
    }
  }

  take(chipName: string, offset: number): OwnedFd | undefined {
    const name = nameOf(chipName, offset);
    const fd = this.#left.get(name);
    this.#left.delete(name);
    return fd;
  }

  keep(chipName: string, offset: number, fd: number): void {
    this.#say(`FDSTORE=1\nFDNAME=${nameOf(chipName, offset)}`, [fd]);
  }

  drop(chipName: string, offset: number): void {
    this.#say(`FDSTOREREMOVE=1\nFDNAME=${nameOf(chipName, offset)}`);
  }

  /** Lets those go that nobody has taken: their SPECs are no more. */
  dropRest(): void {
    for (const [name, fd] of this.#left) {
      this.#say(`FDSTOREREMOVE=1\nFDNAME=${name}`);
      fd.close();
    }
    this.#left.clear();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#left.values()) fd.close();
    this.#left.clear();
    this.#manager.close();
  }

  #say(text: string, fds: readonly number[] = []): void {
    const bytes = new TextEncoder().encode(text);
    try {
      // Its queue may be as short as ten messages, and a service has more lines.
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        if (send(this.#manager.fd, bytes, fds) >= 0) return;
        pollFd(this.#manager.fd, POLLOUT, TRY_MS);
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
    }
    // A manager that is gone or stuck misses it: the line is served all the
    // same, and is requested anew after a restart.
  }
}

/** Names in the store have no colon and no control characters. */
function nameOf(chipName: string, offset: number): string {
  return `${PREFIX}${chipName.replace(/[^A-Za-z0-9_-]/g, "_")}.${offset}`;
}
