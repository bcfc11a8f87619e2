/**
 * Unix datagram sockets, as service managers listen to them.
 *
 * @module
 */
import { check, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import {
  AF_UNIX,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
} from "./socket_constants.ts";
import { MAX_SOCKET_PATH, SOCKADDR_UN, unixAddress } from "./unix_socket.ts";

/** An address; one that begins with `@` is in the abstract namespace. */
function address(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length === 0 || name.length > MAX_SOCKET_PATH) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(path)} as a socket's address: it has ` +
        `${name.length} bytes, and 1 to ${MAX_SOCKET_PATH} are possible`,
    );
  }
  const isAbstract = path.startsWith("@");
  if (isAbstract) name[0] = 0;
  // An abstract name ends where the address does, a path with a NUL.
  return unixAddress(
    name,
    SOCKADDR_UN.at.sun_path + name.length + (isAbstract ? 0 : 1),
  );
}

function datagramSocket(what: string): OwnedFd {
  return new OwnedFd(
    check(
      libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
      "socket",
      what,
    ),
    what,
  );
}

/**
 * A datagram socket that sends to `path`, which may be abstract (`@name`).
 *
 * @throws {OsError} ECONNREFUSED, ENOENT, EACCES, …
 * @throws {RangeError} If the path is empty or too long.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function connectDatagram(path: string): OwnedFd {
  const bytes = address(path);
  const fd = datagramSocket(path);
  try {
    check(libc().connect(fd.fd, bytes, bytes.length), "connect", path);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * A datagram socket that receives at `path`, which may be abstract (`@name`).
 *
 * @throws {OsError} EADDRINUSE, ENOENT, EACCES, …
 * @throws {RangeError} If the path is empty or too long.
 *
 * **Ownership**: the caller's, who also removes the socket file. **Safety**: a
 * plain fd.
 */
export function bindDatagram(path: string): OwnedFd {
  const bytes = address(path);
  const fd = datagramSocket(path);
  try {
    check(libc().bind(fd.fd, bytes, bytes.length), "bind", path);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}
