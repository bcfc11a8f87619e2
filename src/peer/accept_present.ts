/**
 * Accepting at a socket that a stranger may flood with connections: those whose
 * client has gone cost little, and the listener rests after them.
 *
 * @module
 */
import { isAbandoned } from "../../ffi/client_connection.ts";
import { closeElsewhere } from "../../ffi/helper_thread.ts";
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
/** Connections that come to nothing now and then; more of them are a flood. */
const USUAL = 8;
/** Connections that are closed together with what they have sent, at most. */
const MOST_UNREAD = 32;

/**
 * The connections of one listener that came to nothing: some may at any time,
 * and beyond them one in each {@linkcode FRUITLESS_REST_MS}.
 */
export class FruitlessConnections {
  #count = 0;
  #last = 0;

  /**
   * True if more than usual came to nothing lately.
   *
   * @param now Monotonic milliseconds.
   */
  isFlood(now: number): boolean {
    return this.#left(now) > USUAL;
  }

  /**
   * Counts one.
   *
   * @param now Monotonic milliseconds.
   * @returns True if the listener should rest for {@linkcode FRUITLESS_REST_MS}.
   */
  count(now: number): boolean {
    this.#count = this.#left(now) + 1;
    this.#last = now;
    if (this.#count <= TOLERATED) return false;
    // However many came, it is one rest that each new one costs.
    this.#count = TOLERATED;
    return true;
  }

  /** Returns how many are not forgotten: one is in each rest. */
  #left(now: number): number {
    const forgotten = (now - this.#last) / FRUITLESS_REST_MS;
    return Math.max(0, this.#count - forgotten);
  }
}

/** Options of {@linkcode acceptPresent}. */
interface AcceptOptions {
  /** Time for those that are closed on the way. */
  readonly share: TimeShare;
  /** Is called for each of them. */
  readonly gone: () => void;
  /**
   * Returns true if what a client that is gone has sent is as good as nothing,
   * see {@linkcode isAbandoned}; absent: it is not.
   */
  readonly isVain?: ((sent: Uint8Array, isAll: boolean) => boolean) | undefined;
  /** Descriptors that are left to other listeners, see {@linkcode acceptUnix}. */
  readonly leave?: number;
}

/**
 * Accepts the next connection whose client is still there, or has left something
 * to do. Others are closed on the way, while the share has time left.
 *
 * @returns The connection, the caller's; `undefined` if there is none now.
 * @throws {OsError} As {@linkcode acceptUnix}.
 */
export function acceptPresent(
  listener: OwnedFd,
  { share, gone, isVain, leave }: AcceptOptions,
): OwnedFd | undefined {
  // What they have sent may hold descriptors, which are closed with them.
  const unread: OwnedFd[] = [];
  try {
    for (;;) {
      const connection = acceptUnix(listener.fd, leave);
      if (connection === undefined) return undefined;
      // Nothing waits in it that closing could wait for.
      if (isAbandoned(connection.fd)) connection.close();
      else if (isVain !== undefined && isAbandoned(connection.fd, isVain)) {
        unread.push(connection);
      } else return connection;
      gone();
      if (share.isSpent || unread.length >= MOST_UNREAD) return undefined;
    }
  } finally {
    closeElsewhere(unread);
  }
}
