/**
 * Unix stream sockets with file-descriptor passing.
 *
 * @module
 */
import { EAGAIN, ECONNABORTED, EINTR, EMFILE } from "./errno.ts";
import { makeNonblocking } from "./files.ts";
import {
  array,
  I32,
  layout,
  LITTLE_ENDIAN,
  PADDING,
  U16,
  U32,
  U64,
  U8,
} from "./layout.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";

export { pollFd } from "./poll.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_ACCEPTCONN = 30;
const SO_PEERCRED = 17;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/**
 * The most fds that one message carries (the kernel's SCM_MAX_FD).
 *
 * **Safety**: a constant.
 */
export const MAX_PASSED_FDS = 253;

/**
 * The longest path of a socket, in bytes, without the closing NUL.
 *
 * **Safety**: a constant.
 */
export const MAX_SOCKET_PATH = 107;

const SOCKADDR_UN = layout("sockaddr_un", 110, [
  ["sun_family", U16],
  ["sun_path", array(U8, 108)],
]);
const IOVEC = layout("iovec", 16, [["iov_base", U64], ["iov_len", U64]]);
const MSGHDR = layout("msghdr", 56, [
  ["msg_name", U64],
  ["msg_namelen", U32],
  ["_hole0", PADDING],
  ["msg_iov", U64],
  ["msg_iovlen", U64],
  ["msg_control", U64],
  ["msg_controllen", U64],
  ["msg_flags", I32],
  ["_hole1", PADDING],
]);
const CMSGHDR = layout("cmsghdr", 16, [
  ["cmsg_len", U64],
  ["cmsg_level", I32],
  ["cmsg_type", I32],
]);
const UCRED = layout("ucred", 12, [["pid", I32], ["uid", U32], ["gid", U32]]);

const addressOf = (buffer: Uint8Array<ArrayBuffer>) =>
  Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));

/** One message's header, its I/O vector and its ancillary data, kept together. */
class Message {
  readonly header = new Uint8Array(MSGHDR.size);
  readonly #header = new DataView(this.header.buffer);
  readonly #vector = new Uint8Array(IOVEC.size);
  readonly #iovec = new DataView(this.#vector.buffer);
  readonly #control = new Uint8Array(CMSGHDR.size + 4 * MAX_PASSED_FDS + 4);
  readonly control = new DataView(this.#control.buffer);
  // An empty typed array reaches C as NULL.
  readonly #nothing = new Uint8Array(1);

  constructor() {
    this.#header.setBigUint64(
      MSGHDR.at.msg_iov,
      addressOf(this.#vector),
      LITTLE_ENDIAN,
    );
    this.#header.setBigUint64(MSGHDR.at.msg_iovlen, 1n, LITTLE_ENDIAN);
  }

  /** Points at `data`, with room for, or the length of, ancillary data. */
  prepare(data: Uint8Array, controlLength: number): void {
    const { at } = MSGHDR;
    const bytes = data.length === 0
      ? this.#nothing
      : data as Uint8Array<ArrayBuffer>;
    this.#iovec.setBigUint64(
      IOVEC.at.iov_base,
      addressOf(bytes),
      LITTLE_ENDIAN,
    );
    this.#iovec.setBigUint64(
      IOVEC.at.iov_len,
      BigInt(data.length),
      LITTLE_ENDIAN,
    );
    this.#header.setBigUint64(
      at.msg_control,
      controlLength === 0 ? 0n : addressOf(this.#control),
      LITTLE_ENDIAN,
    );
    this.#header.setBigUint64(
      at.msg_controllen,
      BigInt(controlLength),
      LITTLE_ENDIAN,
    );
    this.#header.setInt32(at.msg_flags, 0, LITTLE_ENDIAN);
  }

  get controlCapacity(): number {
    return this.#control.length;
  }

  get controlLength(): number {
    return Number(
      this.#header.getBigUint64(MSGHDR.at.msg_controllen, LITTLE_ENDIAN),
    );
  }

  get flags(): number {
    return this.#header.getInt32(MSGHDR.at.msg_flags, LITTLE_ENDIAN);
  }
}

let shared: Message | undefined;
const message = () => shared ??= new Message();

function address(path: string): Uint8Array<ArrayBuffer> {
  const name = cString(path);
  if (name.length - 1 > MAX_SOCKET_PATH || name.length === 1) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(path)} as a socket's path: it has ${
        name.length - 1
      } bytes, and 1 to ${MAX_SOCKET_PATH} are possible`,
    );
  }
  const buffer = new Uint8Array(SOCKADDR_UN.size);
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
 * A file that is in the way is not removed: EADDRINUSE is the caller's business.
 *
 * @param options `mode`: permission bits of the socket file, whatever the umask
 * is; never wider in between. `backlog`: connections that wait, at most.
 * @throws {OsError} EADDRINUSE, EACCES, ENOENT, …
 * @throws {RangeError} If the path is empty or longer than 107 bytes.
 *
 * **Ownership**: the caller's, who also removes the socket file. **Safety**: a
 * plain fd.
 */
export function listenUnix(
  path: string,
  options: { mode?: number; backlog?: number } = {},
): OwnedFd {
  const bytes = address(path);
  const listener = socket(path, SOCK_NONBLOCK);
  try {
    const { mode } = options;
    if (mode !== undefined) {
      // The file gets the socket's mode less the umask, so it never is wider
      // than asked; what the umask took is given back afterwards.
      check(libc().fchmod(listener.fd, mode), "fchmod", path);
    }
    check(libc().bind(listener.fd, bytes, bytes.length), "bind", path);
    if (mode !== undefined) {
      check(libc().chmod(cString(path), mode), "chmod", path);
    }
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
 * @throws {OsError} ECONNREFUSED when nobody listens, ENOENT, EACCES, …
 * @throws {RangeError} If the path is empty or longer than 107 bytes.
 *
 * **Blocking**: while the listener's backlog is full, unless `wait` is false.
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function connectUnix(
  path: string,
  options: { wait?: boolean } = {},
): OwnedFd {
  const bytes = address(path);
  const connection = socket(path, options.wait === false ? SOCK_NONBLOCK : 0);
  try {
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
 * @throws {OsError} EMFILE, ENFILE, … The connection waits on, so a listener
 * under a level-triggered watch reports it again.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function acceptUnix(listenerFd: number): OwnedFd | undefined {
  const { accept4 } = libc();
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

/**
 * Makes two connected stream sockets, nonblocking and close-on-exec.
 *
 * @throws {OsError} If the kernel refuses (EMFILE).
 *
 * **Ownership**: the caller's, both. **Safety**: plain fds.
 */
export function socketPair(): [OwnedFd, OwnedFd] {
  const fds = new Int32Array(2);
  check(
    libc().socketpair(
      AF_UNIX,
      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
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

/** Takes ownership of every fd in the ancillary data of the last receive. */
function adopt(received: Message, fds: OwnedFd[]): void {
  const end = received.controlLength;
  const { control } = received;
  let offset = 0;
  while (offset + CMSGHDR.size <= end) {
    const length = Number(
      control.getBigUint64(offset + CMSGHDR.at.cmsg_len, LITTLE_ENDIAN),
    );
    if (length < CMSGHDR.size) return;
    const isRights = control.getInt32(
          offset + CMSGHDR.at.cmsg_level,
          LITTLE_ENDIAN,
        ) === SOL_SOCKET &&
      control.getInt32(offset + CMSGHDR.at.cmsg_type, LITTLE_ENDIAN) ===
        SCM_RIGHTS;
    if (isRights) {
      const last = Math.min(offset + length, end);
      for (let at = offset + CMSGHDR.size; at + 4 <= last; at += 4) {
        fds.push(
          new OwnedFd(control.getInt32(at, LITTLE_ENDIAN), "a received fd"),
        );
      }
    }
    offset += Math.ceil(length / 8) * 8;
  }
}

/**
 * Receives bytes and the fds that came with them: one `recvmsg`.
 *
 * Never waits, whatever the fd's own flags are. The received fds are
 * close-on-exec. The kernel may join bytes that were sent before a message with
 * fds to it (but never bytes sent after): to know which message fds belong to,
 * ask for no more than one message's bytes at a time.
 *
 * @param target Where the bytes go.
 * @param fds Where the fds are put, all of them, up to 253.
 * @returns Bytes received, 0 at the end of the stream, -1 when there is nothing
 * yet. (An empty `target` also gives 0.)
 * @throws {OsError} ECONNRESET and the like; EMFILE when some of the fds could
 * not be taken (MSG_CTRUNC): those that could are closed and `fds` is as before.
 *
 * **Ownership**: each received fd is the caller's, also when what came is not
 * to his liking. **Safety**: `target` is pinned by this call only; the buffers
 * for ancillary data are this module's.
 */
export function receive(
  fd: number,
  target: Uint8Array,
  fds: OwnedFd[],
): number {
  const received = message();
  const { recvmsg } = libc();
  for (;;) {
    received.prepare(target, received.controlCapacity);
    const count = recvmsg(
      fd,
      received.header,
      MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
    );
    if (count < 0) {
      const errno = lastErrno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN) return -1;
      throw new OsError("recvmsg", errno, `socket fd ${fd}`);
    }
    if ((received.flags & MSG_CTRUNC) !== 0) {
      const some: OwnedFd[] = [];
      adopt(received, some);
      for (const one of some) one.close();
      throw new OsError(
        "recvmsg",
        EMFILE,
        `the fds that came through socket fd ${fd}`,
      );
    }
    adopt(received, fds);
    return count;
  }
}

/**
 * Sends bytes, and fds along with the first of them: one `sendmsg`.
 *
 * Never waits and never raises SIGPIPE, whatever the fd's own flags are.
 *
 * @param fds Up to 253 fds that the peer gets copies of; needs at least a byte.
 * @returns Bytes taken, which may be fewer than given (the fds went along all
 * the same), or -1 when nothing could be taken now.
 * @throws {OsError} EPIPE when the peer is gone, EBADF for an fd that is not
 * open, …
 * @throws {RangeError} For too many fds, or fds without a byte.
 *
 * **Ownership**: the fds stay the caller's. **Safety**: `bytes` is pinned by
 * this call only.
 */
export function send(
  fd: number,
  bytes: Uint8Array,
  fds: readonly number[] = [],
): number {
  if (fds.length > MAX_PASSED_FDS || (fds.length > 0 && bytes.length === 0)) {
    throw new RangeError(
      `Cannot send ${fds.length} fds with ${bytes.length} bytes: at most ${MAX_PASSED_FDS}, with a byte at least`,
    );
  }
  const sent = message();
  const controlLength = CMSGHDR.size + 4 * fds.length;
  if (fds.length > 0) {
    const { at } = CMSGHDR;
    sent.control.setBigUint64(
      at.cmsg_len,
      BigInt(controlLength),
      LITTLE_ENDIAN,
    );
    sent.control.setInt32(at.cmsg_level, SOL_SOCKET, LITTLE_ENDIAN);
    sent.control.setInt32(at.cmsg_type, SCM_RIGHTS, LITTLE_ENDIAN);
    for (const [i, one] of fds.entries()) {
      sent.control.setInt32(CMSGHDR.size + 4 * i, one, LITTLE_ENDIAN);
    }
  }
  sent.prepare(
    bytes,
    fds.length === 0 ? 0 : Math.ceil(controlLength / 8) * 8,
  );
  const { sendmsg } = libc();
  for (;;) {
    const count = sendmsg(fd, sent.header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) continue;
    if (errno === EAGAIN) return -1;
    throw new OsError("sendmsg", errno, `socket fd ${fd}`);
  }
}

/**
 * Who is at the other end of a connected socket, as the kernel saw it then.
 *
 * @throws {OsError} If it is not a connected unix socket.
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
  return {
    pid: view.getInt32(UCRED.at.pid, LITTLE_ENDIAN),
    uid: view.getUint32(UCRED.at.uid, LITTLE_ENDIAN),
    gid: view.getUint32(UCRED.at.gid, LITTLE_ENDIAN),
  };
}

/**
 * Whether a socket listens, as opposed to being connected.
 *
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Safety**: looks only.
 */
export function isListening(fd: number): boolean {
  const value = new Int32Array(1);
  check(
    libc().getsockopt(
      fd,
      SOL_SOCKET,
      SO_ACCEPTCONN,
      new Uint8Array(value.buffer),
      new Uint32Array([value.byteLength]),
    ),
    "getsockopt(SO_ACCEPTCONN)",
    `fd ${fd}`,
  );
  return value[0] === 1;
}

/**
 * Where in the file system a socket stands; undefined for one without a place
 * there: it is anonymous or abstract, or no unix socket.
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
