/**
 * The socket at which a keeper hears its service, as a service manager does.
 *
 * @module
 */
import { bindDatagram } from "../../../ffi/datagram.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../ffi/readiness.ts";
import { receive } from "../../../ffi/socket_message.ts";
import {
  type ManagerMessage,
  MAX_MESSAGE_BYTES,
  readManagerMessage,
} from "./manager_message.ts";

/** Messages that are read before others are served. */
const AT_ONCE = 64;

/** The socket. **Ownership**: of its file too. */
export class KeeperSocket implements Disposable {
  /** Its address, for NOTIFY_SOCKET. */
  readonly path: string;
  readonly #socket: OwnedFd;
  readonly #hear: (message: ManagerMessage, fds: OwnedFd[]) => void;
  /** One byte more, so that a longer message is seen. */
  readonly #buffer = new Uint8Array(MAX_MESSAGE_BYTES + 1);
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /**
   * Listens in a directory that only this user can enter; `hear` gets each
   * message, and owns its fds.
   *
   * @throws {OsError} If that is not possible.
   */
  constructor(
    directory: string,
    hear: (message: ManagerMessage, fds: OwnedFd[]) => void,
  ) {
    this.path = `${directory}/notify`;
    this.#hear = hear;
    this.#socket = bindDatagram(this.path);
    void this.#run();
  }

  /** Hears all that was said so far. */
  drain(): void {
    while (!this.#isClosed && this.#read(AT_ONCE));
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#wait?.cancel();
    this.#socket.close();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#wait = whenReadable(this.#socket.fd);
      if (!await this.#wait.ready || this.#isClosed) return;
      this.#read(AT_ONCE);
    }
  }

  /** Reads so many messages; false once there are no more. */
  #read(limit: number): boolean {
    for (let i = 0; i < limit; i++) {
      const fds: OwnedFd[] = [];
      let count: number;
      try {
        count = receive(this.#socket.fd, this.#buffer, fds);
      } catch (error) {
        // This message's descriptors found no room.
        if (!isOsError(error)) throw error;
        continue;
      }
      if (count < 0) return false;
      const message = readManagerMessage(this.#buffer.subarray(0, count));
      if (message === undefined) { for (const fd of fds) fd.close(); }
      else this.#hear(message, fds);
    }
    return true;
  }
}
