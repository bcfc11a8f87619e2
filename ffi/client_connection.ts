/**
 * Connections of clients that a service has accepted and not served yet.
 *
 * @module
 */
import { check, libc } from "./libc.ts";
import { pollFd, POLLHUP, POLLIN } from "./poll.ts";
import { MSG_DONTWAIT, MSG_PEEK, SOL_SOCKET } from "./socket_constants.ts";

const SO_SNDBUF = 7;

/**
 * Limits what the kernel holds of bytes that the peer has not read yet.
 *
 * @param bytes Half of the limit: the kernel counts its own memory as well.
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Source**: SO_SNDBUF in socket(7). **Safety**: changes this socket only.
 */
export function limitSendBuffer(fd: number, bytes: number): void {
  const value = new Int32Array([bytes]);
  check(
    libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, value.byteLength),
    "setsockopt(SO_SNDBUF)",
    `fd ${fd}`,
  );
}

/** Bytes that {@linkcode isAbandoned} looks at, at most. */
const MOST_PEEKED = 4096;
const peeked = new Uint8Array(MOST_PEEKED);

/**
 * Returns true if the peer has closed the connection and has sent nothing.
 *
 * @param isVain Is asked, with what is there of what it has sent, and whether
 * that is all, if that is as good as nothing; absent: it is not.
 *
 * **Blocking**: never. **Safety**: takes nothing out of the socket; a peer that
 * is there may be gone by the time this returns. The bytes are valid during the
 * call only.
 */
export function isAbandoned(
  fd: number,
  isVain?: (sent: Uint8Array, isAll: boolean) => boolean,
): boolean {
  if ((pollFd(fd, POLLIN, 0) & POLLHUP) === 0) return false;
  const length = isVain === undefined ? 1 : MOST_PEEKED;
  const count = libc().recv(fd, peeked, length, MSG_PEEK | MSG_DONTWAIT);
  if (count <= 0) return true;
  return isVain?.(peeked.subarray(0, count), count < length) ?? false;
}
