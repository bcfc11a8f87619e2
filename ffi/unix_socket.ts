/**
 * Unix stream sockets: listeners, connections, and their peers.
 *
 * @module
 */
import { firstReserved } from "./descriptor_budget.ts";
import { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENOTCONN } from "./errno.ts";
import { makeNonblocking } from "./files.ts";
import { array, I32, layout, LITTLE_ENDIAN, U16, U32, U8 } from "./layout.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import {
  AF_UNIX,
  SO_DOMAIN,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./socket_constants.ts";
import { refuseDescriptors } from "./socket_message.ts";

const SOCK_SEQPACKET = 5;
const SO_ACCEPTCONN = 30;
const SO_PEERCRED = 17;

/**
 * The longest path of a socket, in bytes, without the closing NUL.
 *
 * **Safety**: a constant.
 */
export const MAX_SOCKET_PATH = 107;

/** The address of a Unix socket. **Safety**: plain data. */
export const SOCKADDR_UN = layout("sockaddr_un", 110, [
  ["sun_family", U16],
  ["sun_path", array(U8, 108)],
]);
/** Id that the kernel reports of a peer that it does not know. */
const NO_ID = 0xffff_ffff;
const UCRED = layout("ucred", 12, [["pid", I32], ["uid", U32], ["gid", U32]]);

/**
 * Checks that a socket can have this path, which connecting to it takes.
 *
 * @throws {RangeError} If the path is empty or longer than 107 bytes.
 *
 * **Safety**: text only.
 */
export function checkSocketPath(path: string): void {
  address(path);
}

function address(path: string): Uint8Array<ArrayBuffer> {
  const name = cString(path);
  if (name.length - 1 > MAX_SOCKET_PATH || name.length === 1) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(path)} as a socket's path: it has ${
        name.length - 1
      } bytes, and 1 to ${MAX_SOCKET_PATH} are possible`,
    );
  }
  return unixAddress(name, SOCKADDR_UN.size);
}

/**
 * Encodes the address of a Unix socket.
 *
 * @param name Path with its NUL, or an abstract name that begins with one.
 * @param size Bytes of the result.
 *
 * **Safety**: bytes only.
 */
export function unixAddress(
  name: Uint8Array,
  size: number,
): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(size);
  new DataView(buffer.buffer).setUint16(
    SOCKADDR_UN.at.sun_family,
    AF_UNIX,
    LITTLE_ENDIAN,
  );
  buffer.set(name, SOCKADDR_UN.at.sun_path);
  return buffer;
}

function socket(what: string, flags: number): OwnedFd {
  return new OwnedFd(
    check(
      libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0),
      "socket",
      what,
    ),
    what,
  );
}

/**
 * Makes a listening socket at `path`, nonblocking and close-on-exec.
 *
 * A file that is in the way is not removed: EADDRINUSE is the caller's
 * business. The file's mode is what the umask leaves of 0777: what others must
 * not reach is made in a private directory first.
 *
 * @param options `backlog`: connections that wait, at most.
 * `descriptors: false` refuses fds as {@linkcode refuseDescriptors} does.
 * @throws {OsError} EADDRINUSE, EACCES, ENOENT, …
 * @throws {RangeError} If the path is empty or longer than 107 bytes.
 *
 * **Ownership**: the caller's, who also removes the socket file. **Safety**: a
 * plain fd.
 */
export function listenUnix(
  path: string,
  options: { backlog?: number; descriptors?: boolean } = {},
): OwnedFd {
  const bytes = address(path);
  const listener = socket(path, SOCK_NONBLOCK);
  try {
    if (options.descriptors === false) refuseDescriptors(listener.fd);
    check(libc().bind(listener.fd, bytes, bytes.length), "bind", path);
    check(libc().listen(listener.fd, options.backlog ?? 16), "listen", path);
    return listener;
  } catch (error) {
    listener.close();
    throw error;
  }
}

/**
 * Connects to the socket at `path`; the fd is nonblocking and close-on-exec.
 *
 * @param options `wait: false` fails with EAGAIN where it would wait.
 * `descriptors: false` refuses fds as {@linkcode refuseDescriptors} does.
 * @throws {OsError} ECONNREFUSED without a listener, ENOENT, EACCES, …
 * @throws {RangeError} If the path is empty or longer than 107 bytes.
 *
 * **Blocking**: while the listener's backlog is full, unless `wait` is false.
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function connectUnix(
  path: string,
  options: { wait?: boolean; descriptors?: boolean } = {},
): OwnedFd {
  const bytes = address(path);
  const connection = socket(path, options.wait === false ? SOCK_NONBLOCK : 0);
  try {
    if (options.descriptors === false) refuseDescriptors(connection.fd);
    const { connect } = libc();
    while (connect(connection.fd, bytes, bytes.length) < 0) {
      const errno = lastErrno();
      if (errno !== EINTR) throw new OsError("connect", errno, path);
    }
    makeNonblocking(connection);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Takes a connection that waits on a nonblocking listener; undefined if none
 * does. The fd is nonblocking and close-on-exec.
 *
 * @throws {OsError} EMFILE, also when only the process's reserve is left (a
 * quarter of its limit, 64 at most: the runtime ends the process when it finds
 * no descriptor for itself); ENFILE, … The connection waits on, so a listener
 * under a level-triggered watch reports it again.
 *
 * @param leave Descriptors beyond the reserve that are left to other listeners.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function acceptUnix(
  listenerFd: number,
  leave = 0,
): OwnedFd | undefined {
  const { accept4 } = libc();
  if (!hasDescriptorsLeft(listenerFd, leave)) {
    throw new OsError("accept4", EMFILE, `listener fd ${listenerFd}`);
  }
  for (;;) {
    const fd = accept4(listenerFd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return new OwnedFd(fd, "a connection");
    const errno = lastErrno();
    if (errno === EAGAIN) return undefined;
    if (errno === EINTR) continue;
    // The peer gave up while it waited: look for the next one.
    if (errno === ECONNABORTED) continue;
    throw new OsError("accept4", errno, `listener fd ${listenerFd}`);
  }
}

const F_DUPFD_CLOEXEC = 1030;

/** True unless only the reserve is left: the kernel gives the lowest number. */
function hasDescriptorsLeft(fd: number, leave: number): boolean {
  const { close, fcntl } = libc();
  const lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (lowest < 0) return lastErrno() !== EMFILE;
  close(lowest);
  return lowest < firstReserved() - leave;
}

/**
 * Makes two connected stream sockets, nonblocking and close-on-exec.
 *
 * @throws {OsError} If the kernel refuses (EMFILE).
 *
 * **Ownership**: the caller's, both. **Safety**: plain fds.
 */
export function socketPair(): [OwnedFd, OwnedFd] {
  return createPair(SOCK_STREAM);
}

/**
 * A pair of connected, nonblocking sockets for messages, each of which is
 * received whole.
 *
 * @throws {OsError} EMFILE, ENFILE.
 *
 * **Ownership**: both are the caller's. **Safety**: plain fds.
 */
export function packetPair(): [OwnedFd, OwnedFd] {
  return createPair(SOCK_SEQPACKET);
}

function createPair(type: number): [OwnedFd, OwnedFd] {
  const fds = new Int32Array(2);
  check(
    libc().socketpair(
      AF_UNIX,
      type | SOCK_NONBLOCK | SOCK_CLOEXEC,
      0,
      fds,
    ),
    "socketpair",
    "a pair of sockets",
  );
  return [
    new OwnedFd(fds[0]!, "one end of a socket pair"),
    new OwnedFd(fds[1]!, "the other end of a socket pair"),
  ];
}

/**
 * Returns the credentials of the other end of a connected socket, as they were
 * when it connected.
 *
 * @throws {OsError} If it is not a connected unix socket: the kernel does not
 * know the peer of others (ENOTCONN).
 *
 * **Safety**: looks only.
 */
export function peerCredentials(
  fd: number,
): { pid: number; uid: number; gid: number } {
  const value = new Uint8Array(UCRED.size);
  const length = new Uint32Array([UCRED.size]);
  check(
    libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length),
    "getsockopt(SO_PEERCRED)",
    `socket fd ${fd}`,
  );
  const view = new DataView(value.buffer);
  if (view.getUint32(UCRED.at.uid, LITTLE_ENDIAN) === NO_ID) {
    throw new OsError("getsockopt(SO_PEERCRED)", ENOTCONN, `socket fd ${fd}`);
  }
  return {
    pid: view.getInt32(UCRED.at.pid, LITTLE_ENDIAN),
    uid: view.getUint32(UCRED.at.uid, LITTLE_ENDIAN),
    gid: view.getUint32(UCRED.at.gid, LITTLE_ENDIAN),
  };
}

const SOCKET_FAMILIES: Readonly<Record<number, string>> = {
  2: "an IPv4",
  10: "an IPv6",
  16: "a netlink",
  17: "a packet",
  40: "a vsock",
};

/**
 * Returns an option of a socket, of any family, that is a number.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function numberOption(fd: number, option: number, name: string): number {
  const value = new Int32Array(1);
  check(
    libc().getsockopt(
      fd,
      SOL_SOCKET,
      option,
      new Uint8Array(value.buffer),
      new Uint32Array([value.byteLength]),
    ),
    `getsockopt(${name})`,
    `fd ${fd}`,
  );
  return value[0]!;
}

/**
 * Why a socket that was handed over cannot be served: it is not a unix stream
 * socket, or it neither listens nor is connected. Undefined if it can.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function streamSocketProblem(fd: number): string | undefined {
  const family = numberOption(fd, SO_DOMAIN, "SO_DOMAIN");
  if (family !== AF_UNIX) {
    return `it is ${
      SOCKET_FAMILIES[family] ?? `an address family ${family}`
    } socket, not a unix stream socket`;
  }
  const type = numberOption(fd, SO_TYPE, "SO_TYPE");
  if (type !== SOCK_STREAM) {
    return `it is a unix ${
      type === SOCK_DGRAM ? "datagram" : `type ${type}`
    } socket, not a unix stream socket`;
  }
  if (isListening(fd)) return undefined;
  const { getsockopt } = libc();
  const credentials = new Uint8Array(UCRED.size);
  const length = new Uint32Array([UCRED.size]);
  const isKnown =
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) === 0 &&
    new DataView(credentials.buffer)
        .getUint32(UCRED.at.uid, LITTLE_ENDIAN) !== NO_ID;
  return isKnown ? undefined : "it neither listens nor is connected";
}

/**
 * Returns true if a socket listens, as opposed to being connected.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function isListening(fd: number): boolean {
  return numberOption(fd, SO_ACCEPTCONN, "SO_ACCEPTCONN") === 1;
}

/**
 * Returns the path of a socket in the file system; undefined for one without a
 * path: it is anonymous or abstract, or no unix socket.
 *
 * The path is as it was when the socket was bound. It may be relative, and
 * another file may be there by now.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function socketPath(fd: number): string | undefined {
  const name = new Uint8Array(SOCKADDR_UN.size);
  const length = new Uint32Array([name.length]);
  check(
    libc().getsockname(fd, name, new Uint8Array(length.buffer)),
    "getsockname",
    `fd ${fd}`,
  );
  const family = new DataView(name.buffer)
    .getUint16(SOCKADDR_UN.at.sun_family, LITTLE_ENDIAN);
  const end = Math.min(length[0]!, name.length);
  const path = name.subarray(SOCKADDR_UN.at.sun_path, end);
  // An abstract name begins with a NUL, which ends a path.
  const [text = ""] = new TextDecoder().decode(path).split("\0");
  return family === AF_UNIX && text !== "" ? text : undefined;
}
