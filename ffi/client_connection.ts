/**
 * Connections of clients that a service has accepted and not heard yet.
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

/** First bytes that {@linkcode isAbandoned} looks at, at most. */
const FIRST_BYTES = 8;

/**
 * Returns true if the peer has closed the connection and has sent nothing, or
 * something that begins with one of `prefixes`.
 *
 * @param prefixes ASCII, of 8 characters at most.
 *
 * **Blocking**: never. **Safety**: takes nothing out of the socket; a peer that
 * is there may be gone by the time this returns.
 */
export function isAbandoned(fd: number, prefixes: readonly string[]): boolean {
  if ((pollFd(fd, POLLIN, 0) & POLLHUP) === 0) return false;
  const first = new Uint8Array(FIRST_BYTES);
  const count = libc().recv(
    fd,
    first,
    first.length,
    MSG_PEEK | MSG_DONTWAIT,
  );
  if (count <= 0) return true;
  const text = String.fromCharCode(...first.subarray(0, count));
  return prefixes.some((prefix) => text.startsWith(prefix));
}
