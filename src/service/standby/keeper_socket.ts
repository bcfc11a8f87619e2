/**
 * The socket at which a keeper serves its service, as a service manager does.
 *
 * @module
 */
import { bindDatagram } from "../../../ffi/datagram.ts";
import {
  closeElsewhere,
  isBehindWithCloses,
  tendHelpers,
} from "../../../ffi/helper_thread.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../ffi/readiness.ts";
import { receive } from "../../../ffi/socket_message.ts";
import { sleep } from "../../async/wait.ts";
import {
  type ManagerMessage,
  MAX_MESSAGE_BYTES,
  readManagerMessage,
} from "./manager_message.ts";

/** Messages that are read before others are served. */
const AT_ONCE = 64;
/** Most messages that an ended service has left: more than a queue holds. */
const MOST_LEFT = 4096;
/** Interval of looks at descriptors that are not closed yet. **Units**: ms. */
const CLOSES_LOOK_MS = 20;

/** The socket. **Ownership**: of its file too. */
export class KeeperSocket implements Disposable {
  /** Its address, for NOTIFY_SOCKET. */
  readonly path: string;
  readonly #socket: OwnedFd;
  readonly #onMessage: (message: ManagerMessage, fds: OwnedFd[]) => void;
  /** One byte more, so that a longer message is seen. */
  readonly #buffer = new Uint8Array(MAX_MESSAGE_BYTES + 1);
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /**
   * Listens in a directory that only this user can enter; `onMessage` gets each
   * message, and owns its fds.
   *
   * @throws {OsError} If that is not possible.
   */
  constructor(
    directory: string,
    onMessage: (message: ManagerMessage, fds: OwnedFd[]) => void,
  ) {
    this.path = `${directory}/notify`;
    this.#onMessage = onMessage;
    this.#socket = bindDatagram(this.path);
    void this.#run();
  }

  /** Receives all messages so far. */
  drain(): void {
    if (!this.#isClosed) this.#read(MOST_LEFT);
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
      // A message that is read brings more of them, even if it is refused.
      while (isBehindWithCloses()) {
        tendHelpers();
        await sleep(CLOSES_LOOK_MS);
        if (this.#isClosed) return;
      }
      this.#read(AT_ONCE);
    }
  }

  /** Reads so many messages at most. */
  #read(limit: number): void {
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
      if (count < 0) return;
      const message = readManagerMessage(this.#buffer.subarray(0, count));
      if (message === undefined) closeElsewhere(fds);
      else this.#onMessage(message, fds);
    }
  }
}
