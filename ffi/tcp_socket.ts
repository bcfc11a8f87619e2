/**
 * TCP listeners on the loopback interface.
 *
 * @module
 */
import { check, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import {
  SO_DOMAIN,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./socket_constants.ts";
import { isListening, numberOption } from "./unix_socket.ts";

// It accepts from a listener of any family, and keeps the reserve of fds.
export { acceptUnix as acceptTcp } from "./unix_socket.ts";

const AF_INET = 2;
const SO_REUSEADDR = 2;
const SOCKADDR_IN_BYTES = 16;
const BACKLOG = 64;
/** First byte of the addresses of the loopback interface. */
const LOOPBACK = 127;

/**
 * Makes a listening socket at a port of 127.0.0.1, nonblocking and
 * close-on-exec.
 *
 * @param port 0 for any that is free.
 * @throws {OsError} EADDRINUSE, EACCES.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function listenLoopback(port: number): OwnedFd {
  const what = `127.0.0.1:${port}`;
  const flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const listener = new OwnedFd(
    check(libc().socket(AF_INET, flags, 0), "socket", what),
    what,
  );
  try {
    const on = new Uint8Array(new Int32Array([1]).buffer);
    const { setsockopt, bind, listen } = libc();
    check(
      setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, on, on.length),
      "setsockopt(SO_REUSEADDR)",
      what,
    );
    const address = new Uint8Array(SOCKADDR_IN_BYTES);
    address.set([AF_INET, 0, port >> 8, port & 0xff, LOOPBACK, 0, 0, 1]);
    check(bind(listener.fd, address, address.length), "bind", what);
    check(listen(listener.fd, BACKLOG), "listen", what);
    return listener;
  } catch (error) {
    listener.close();
    throw error;
  }
}

/**
 * Returns the port of a listening TCP socket of the loopback interface that was
 * handed over; undefined if it is another socket.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function loopbackPort(fd: number): number | undefined {
  const isTcp = numberOption(fd, SO_DOMAIN, "SO_DOMAIN") === AF_INET &&
    numberOption(fd, SO_TYPE, "SO_TYPE") === SOCK_STREAM &&
    isListening(fd);
  if (!isTcp) return undefined;
  const address = new Uint8Array(SOCKADDR_IN_BYTES);
  const length = new Uint32Array([address.length]);
  check(
    libc().getsockname(fd, address, new Uint8Array(length.buffer)),
    "getsockname",
    `fd ${fd}`,
  );
  return address[4] === LOOPBACK ? address[2]! << 8 | address[3]! : undefined;
}
