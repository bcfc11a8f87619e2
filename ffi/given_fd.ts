/**
 * Looking at descriptors that another process gave, without asking the file
 * system that they belong to: a FUSE or network file system answers when it
 * likes, also to `stat`.
 *
 * @module
 */
import { EINVAL } from "./errno.ts";
import { openFor, readLink } from "./files.ts";
import { lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { AF_UNIX, SO_DOMAIN, SOL_SOCKET } from "./socket_constants.ts";

const F_GET_SEALS = 1034;

/**
 * Kinds of descriptors that are served: `memory` is a file on the kernel's own
 * tmpfs or hugetlbfs (a memfd is one of them). `other` is everything else:
 * other sockets, named pipes, devices, files on other file systems, descriptors
 * that only name a path (O_PATH).
 *
 * **Safety**: plain data.
 */
export type GivenKind =
  | "eventfd"
  | "pipe"
  | "unix socket"
  | "memory"
  | "other";

/**
 * Returns the kind of a descriptor that another process gave.
 *
 * The kernel alone answers: its name in `/proc/self/fd` (files of pipefs, sockfs
 * and anonymous inodes have names without a slash, which no path has), and its
 * seals, which only files on tmpfs and hugetlbfs have.
 *
 * @throws {OsError} EBADF if it is not open.
 *
 * **Blocking**: never. **Safety**: looks only.
 */
export function givenKind(fd: number): GivenKind {
  const { read, write } = openFor(fd);
  // One that only names a path (O_PATH) is open for nothing.
  return read || write ? detectKind(fd) : "other";
}

function detectKind(fd: number): GivenKind {
  const name = readLink(`/proc/self/fd/${fd}`) ?? "";
  if (name === "anon_inode:[eventfd]") return "eventfd";
  if (name.startsWith("pipe:[")) return "pipe";
  if (name.startsWith("socket:[")) {
    return isUnixSocket(fd) ? "unix socket" : "other";
  }
  return hasSeals(fd) ? "memory" : "other";
}

function isUnixSocket(fd: number): boolean {
  const domain = new Int32Array(1);
  const result = libc().getsockopt(
    fd,
    SOL_SOCKET,
    SO_DOMAIN,
    new Uint8Array(domain.buffer),
    new Uint8Array(new Uint32Array([domain.byteLength]).buffer),
  );
  return result === 0 && domain[0] === AF_UNIX;
}

function hasSeals(fd: number): boolean {
  if (libc().fcntl(fd, F_GET_SEALS, 0) >= 0) return true;
  const errno = lastErrno();
  if (errno === EINVAL) return false;
  throw new OsError("fcntl(F_GET_SEALS)", errno, `fd ${fd}`);
}
