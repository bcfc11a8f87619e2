/**
 * Accepting at a socket that a stranger may flood with connections: those whose
 * client has gone cost little, and the listener rests after them.
 *
 * @module
 */
import { isAbandoned } from "../../ffi/client_connection.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { acceptUnix } from "../../ffi/unix_socket.ts";
import type { TimeShare } from "../reactor/event_loop.ts";

/**
 * Time for which a listener rests after connections that came to nothing. Such
 * connections, at full speed, would otherwise keep all CPUs busy: a VMM waits
 * for a CPU then, however short a turn of the loop is. **Units**: ms.
 */
export const FRUITLESS_REST_MS = 5;

/**
 * Connections that may come to nothing before a listener rests: a VMM that is
 * begun again and again is not delayed.
 */
const TOLERATED = 64;

/**
 * The connections of one listener that came to nothing: some may at any time,
 * and beyond them one in each {@linkcode FRUITLESS_REST_MS}.
 */
export class FruitlessConnections {
  #count = 0;
  #last = 0;

  /**
   * Counts one.
   *
   * @param now Monotonic milliseconds.
   * @returns True if the listener should rest for {@linkcode FRUITLESS_REST_MS}.
   */
  count(now: number): boolean {
    const forgotten = (now - this.#last) / FRUITLESS_REST_MS;
    this.#last = now;
    this.#count = Math.max(0, this.#count - forgotten) + 1;
    if (this.#count <= TOLERATED) return false;
    // However many came, it is one rest that each new one costs.
    this.#count = TOLERATED;
    return true;
  }
}

/**
 * Accepts the next connection whose client is still there. Those that have hung
 * up and sent nothing are closed on the way, while the share has time left.
 *
 * @param gone Is called for each of them.
 * @param leave Descriptors that are left to other listeners, see
 * {@linkcode acceptUnix}.
 * @returns The connection, the caller's; `undefined` if there is none now.
 * @throws {OsError} As {@linkcode acceptUnix}.
 */
export function acceptPresent(
  listener: OwnedFd,
  share: TimeShare,
  gone: () => void,
  leave?: number,
): OwnedFd | undefined {
  for (;;) {
    const connection = acceptUnix(listener.fd, leave);
    if (connection === undefined || !isAbandoned(connection.fd)) {
      return connection;
    }
    // Nothing waits in it that closing could wait for.
    connection.close();
    gone();
    if (share.isSpent) return undefined;
  }
}
