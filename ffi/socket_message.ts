/**
 * Messages over Unix sockets: bytes, and the fds that go along with them.
 *
 * @module
 */
import { descriptorLimit, SCARCE } from "./descriptor_budget.ts";
import {
  EAGAIN,
  ECONNRESET,
  EINTR,
  EMFILE,
  ENOPROTOOPT,
  EOPNOTSUPP,
} from "./errno.ts";
import {
  closeElsewhere,
  hangUp,
  hangUpElsewhere,
  isBehindWithCloses,
} from "./helper_thread.ts";
import { I32, layout, LITTLE_ENDIAN, PADDING, U32, U64 } from "./layout.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_PEEK,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./socket_constants.ts";

const SCM_RIGHTS = 1;
const SO_PASSRIGHTS = 83;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** FIONREAD, of sockets also SIOCINQ. */
const FIONREAD = 0x541b;

/**
 * The most fds that one message carries (the kernel's SCM_MAX_FD).
 *
 * **Safety**: a constant.
 */
export const MAX_PASSED_FDS = 253;

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

const bufferAddress = (buffer: Uint8Array<ArrayBuffer>) =>
  Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));

/**
 * One message's header, its I/O vector and its ancillary data, kept together.
 */
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
      bufferAddress(this.#vector),
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
      bufferAddress(bytes),
      LITTLE_ENDIAN,
    );
    this.#iovec.setBigUint64(
      IOVEC.at.iov_len,
      BigInt(data.length),
      LITTLE_ENDIAN,
    );
    this.#header.setBigUint64(
      at.msg_control,
      controlLength === 0 ? 0n : bufferAddress(this.#control),
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

/** Descriptors that are received at once where they are scarce: more than a message may have. */
const SCARCE_ROOM = 24;

/** Bytes for ancillary data: what one message brings must not use up all. */
function roomForFds(received: Message): number {
  return descriptorLimit() >= SCARCE
    ? received.controlCapacity
    : CMSGHDR.size + 4 * SCARCE_ROOM;
}

/**
 * Receives bytes and the fds that came with them: one `recvmsg`.
 *
 * Never waits, whatever the fd's own flags are. The received fds are
 * close-on-exec. The kernel may join bytes that were sent before a message with
 * fds to it (but never bytes sent after): to know which message fds belong to,
 * ask for no more than one message's bytes at a time.
 *
 * @param target Destination of the bytes.
 * @param fds Destination of the fds, all of them, up to 253, or 24 where the
 * process may have fewer than 1024.
 * @returns Bytes received, 0 at the end of the stream, -1 when there is nothing
 * yet. (An empty `target` also gives 0.)
 * @throws {OsError} ECONNRESET and the like; EMFILE when some of the fds could
 * not be taken (MSG_CTRUNC): those that could are closed and `fds` is as
 * before.
 *
 * **Ownership**: each received fd is the caller's, also on a message that it
 * refuses. **Safety**: `target` is pinned by this call only; the buffers
 * for ancillary data are this module's.
 */
export function receive(
  fd: number,
  target: Uint8Array,
  fds: OwnedFd[],
): number {
  return receiveWith(fd, target, fds, 0);
}

/**
 * Returns what {@linkcode receive} would, and leaves it in the socket: the fds
 * are further copies.
 *
 * @throws {OsError} As {@linkcode receive}.
 *
 * **Ownership**: each copy is the caller's. **Safety**: as {@linkcode receive}.
 */
export function receiveCopy(
  fd: number,
  target: Uint8Array,
  fds: OwnedFd[],
): number {
  return receiveWith(fd, target, fds, MSG_PEEK);
}

function receiveWith(
  fd: number,
  target: Uint8Array,
  fds: OwnedFd[],
  flags: number,
): number {
  const received = message();
  const { recvmsg } = libc();
  for (;;) {
    received.prepare(target, roomForFds(received));
    const count = recvmsg(
      fd,
      received.header,
      MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags,
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
      closeElsewhere(some);
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
 * Receives bytes of a stream on which no fds are expected. Any that come are
 * discarded by the kernel and never get a number in this process: there is no
 * buffer for ancillary data.
 *
 * Never waits for bytes, whatever the fd's own flags are. On a kernel without
 * {@linkcode refuseDescriptors}, where discarding would wait as closing does,
 * fds are received and closed elsewhere.
 *
 * @param target Destination of the bytes.
 * @returns Bytes received, 0 at the end of the stream, -1 when there is nothing
 * yet. (An empty `target` also gives 0.)
 * @throws {OsError} ECONNRESET and the like.
 *
 * **Safety**: `target` is pinned by this call only.
 */
export function receiveBytes(fd: number, target: Uint8Array): number {
  return canRefuse() ? receivePlain(fd, target) : receiveStrays(fd, target);
}

/**
 * The same as {@linkcode receiveBytes} on a kernel that cannot refuse fds.
 *
 * @throws {OsError} ECONNRESET and the like; also if fds come while too many of
 * this peer's wait to be closed, see {@linkcode isBehindWithCloses}.
 *
 * **Safety**: as {@linkcode receiveBytes}.
 */
function receiveStrays(fd: number, target: Uint8Array): number {
  const strays: OwnedFd[] = [];
  const count = receive(fd, target, strays);
  if (strays.length === 0) return count;
  const isBehind = isBehindWithCloses();
  closeElsewhere(strays);
  if (!isBehind) return count;
  throw new OsError(
    "recvmsg",
    ECONNRESET,
    `socket fd ${fd}, whose peer sends fds that cannot be closed`,
  );
}

let isRefusalKnown: boolean | undefined;

/** True if this kernel can refuse fds for a socket. */
function canRefuse(): boolean {
  if (isRefusalKnown === undefined) {
    using probe = new OwnedFd(
      check(
        libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        "socket",
        "a probe for SO_PASSRIGHTS",
      ),
      "a probe for SO_PASSRIGHTS",
    );
    isRefusalKnown = refuseDescriptors(probe.fd);
  }
  return isRefusalKnown;
}

/**
 * Has the kernel asked anew, for tests that play another one.
 *
 * **Safety**: sets a variable.
 */
export function forgetKernel(): void {
  isRefusalKnown = undefined;
}

/**
 * Ends a connection that expects no fds. On a kernel that cannot refuse them,
 * some may wait unread, whose close must not be waited for.
 *
 * **Ownership**: taken over. **Blocking**: never. **Safety**: end watches
 * before.
 */
export function closeConnection(connection: OwnedFd): void {
  if (canRefuse()) hangUp(connection);
  else hangUpElsewhere(connection);
}

/**
 * Copies the next bytes of a stream, and leaves them in the socket, with the fds
 * that came with them.
 *
 * @returns As {@linkcode receiveBytes}; fewer bytes than there are where fds
 * were sent with later ones.
 * @throws {OsError} ECONNRESET and the like.
 *
 * **Safety**: `target` is pinned by this call only.
 */
export function peekBytes(fd: number, target: Uint8Array): number {
  return receivePlain(fd, target, MSG_PEEK);
}

/**
 * Returns the number of bytes that wait in a stream socket.
 *
 * @throws {OsError} If the fd is not a socket.
 *
 * **Safety**: looks only.
 */
export function waitingBytes(fd: number): number {
  const count = new Int32Array(1);
  check(libc().ioctl(fd, FIONREAD, count), "ioctl(FIONREAD)", `fd ${fd}`);
  return count[0]!;
}

function receivePlain(fd: number, target: Uint8Array, flags = 0): number {
  const { recv } = libc();
  for (;;) {
    const count = recv(
      fd,
      target as Uint8Array<ArrayBuffer>,
      target.length,
      MSG_DONTWAIT | flags,
    );
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) continue;
    if (errno === EAGAIN) return -1;
    throw new OsError("recv", errno, `socket fd ${fd}`);
  }
}

/**
 * Makes the kernel refuse fds that a peer sends to this socket: the peer's
 * `sendmsg` fails with EPERM, and nothing arrives. Connections accepted from a
 * listener inherit it from the moment they are made.
 *
 * @returns True if the kernel can; one that cannot leaves the socket unchanged.
 * @throws {OsError} ENOTSOCK, EBADF.
 *
 * **Source**: SO_PASSRIGHTS in unix(7), since Linux 6.16. **Safety**: changes
 * this socket only.
 */
export function refuseDescriptors(fd: number): boolean {
  const { setsockopt } = libc();
  const value = new Uint8Array(4);
  if (
    setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, value, value.length) === 0
  ) return true;
  const errno = lastErrno();
  if (errno === ENOPROTOOPT || errno === EOPNOTSUPP) return false;
  throw new OsError("setsockopt(SO_PASSRIGHTS)", errno, `fd ${fd}`);
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
