/**
 * File operations that Deno's own API does not have, or only with more
 * permissions.
 *
 * Everything here goes through libc, so that `--allow-ffi` is enough: Deno
 * itself refuses `/proc/self/…` and `/dev/…` without `--allow-all`.
 *
 * @module
 */
import {
  EAGAIN,
  EINTR,
  EINVAL,
  ENOENT,
  ENOTDIR,
  ERANGE,
  ESRCH,
} from "./errno.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";

/** Open for reading. **Safety**: a constant. */
export const O_RDONLY = 0;
/** Open for writing. **Safety**: a constant. */
export const O_WRONLY = 1;
/** Open for both. **Safety**: a constant. */
export const O_RDWR = 2;
/** Make the file if it is not there. **Safety**: a constant. */
export const O_CREAT = 0o100;
/** Fail if the file is there. **Safety**: a constant. */
export const O_EXCL = 0o200;
/** Empty the file. **Safety**: a constant. */
export const O_TRUNC = 0o1000;
/** Write at the end only. **Safety**: a constant. */
export const O_APPEND = 0o2000;
/**
 * A place in the file system, not open for anything. **Safety**: a constant.
 */
export const O_PATH = 0o10000000;
/**
 * Fail if it is a symbolic link (with O_PATH: open the link itself); not the
 * same number on the two targets. **Safety**: a constant.
 */
export const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
/** Never wait. **Safety**: a constant. */
export const O_NONBLOCK = 0o4000;
/** Not for child processes. **Safety**: a constant. */
export const O_CLOEXEC = 0o2000000;
/**
 * Fail if it is not a directory; not the same number on the two targets.
 * **Safety**: a constant.
 */
export const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;

const O_ACCMODE = 3;
const F_GETFD = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const PATH_MAX = 4096;

const decoder = new TextDecoder();

/**
 * Opens a file, always close-on-exec.
 *
 * @param flags `O_RDWR` and the like.
 * @param mode Permission bits of a file that is made (before the umask).
 * @throws {OsError} ENOENT, EACCES, …
 *
 * **Ownership**: the caller's. **Blocking**: as the file is; O_NONBLOCK for
 * those that wait for a peer. **Safety**: a plain fd.
 */
export function openFile(path: string, flags: number, mode = 0o666): OwnedFd {
  const name = cString(path);
  const { open } = libc();
  let fd = open(name, flags | O_CLOEXEC, mode);
  while (fd < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new OsError("open", errno, path);
    fd = open(name, flags | O_CLOEXEC, mode);
  }
  return new OwnedFd(fd, path);
}

/**
 * Returns the target of a symbolic link; undefined if there is none of that
 * name.
 *
 * @throws {OsError} EACCES, ELOOP, …
 *
 * **Safety**: looks only; does not follow the link.
 */
export function readLink(path: string): string | undefined {
  const name = cString(path);
  const target = new Uint8Array(PATH_MAX);
  const length = libc().readlink(name, target, target.length);
  if (length < 0) {
    const errno = lastErrno();
    if (errno === ENOENT || errno === EINVAL || errno === ENOTDIR) {
      return undefined;
    }
    throw new OsError("readlink", errno, path);
  }
  return decoder.decode(target.subarray(0, length));
}

/**
 * The path with every symbolic link followed; undefined if it leads nowhere.
 *
 * @throws {OsError} EACCES, ELOOP, …
 *
 * **Safety**: looks only.
 */
export function realPath(path: string): string | undefined {
  const name = cString(path);
  const target = new Uint8Array(PATH_MAX);
  if (libc().realpath(name, target) === null) {
    const errno = lastErrno();
    if (errno === ENOENT || errno === ENOTDIR) return undefined;
    throw new OsError("realpath", errno, path);
  }
  return decoder.decode(target.subarray(0, target.indexOf(0)));
}

/**
 * The whole text of a small file (in `/sys`, `/proc`); undefined if there is
 * none.
 *
 * @param maxBytes How much of it is still small.
 * @throws {OsError} EACCES, EISDIR, …, and ERANGE beyond `maxBytes`.
 *
 * **Safety**: opens, reads and closes.
 */
export function readSmallFile(
  path: string,
  maxBytes = 1 << 20,
): string | undefined {
  let file: OwnedFd;
  try {
    file = openFile(path, O_RDONLY);
  } catch (error) {
    if (
      error instanceof OsError &&
      (error.errno === ENOENT || error.errno === ENOTDIR)
    ) return undefined;
    throw error;
  }
  using _file = file;
  return readOpenFile(file, maxBytes);
}

/**
 * The whole text of a small file that is open for reading, from where it was
 * read to; undefined for one in `/proc` whose process has gone meanwhile.
 *
 * @param maxBytes How much of it is still small.
 * @throws {OsError} EIO, …, and ERANGE beyond `maxBytes`.
 *
 * **Blocking**: as the file is. **Safety**: reads.
 */
export function readOpenFile(
  file: OwnedFd,
  maxBytes: number,
): string | undefined {
  const chunk = new Uint8Array(4096);
  const text: Uint8Array[] = [];
  for (let total = 0; total <= maxBytes;) {
    const count = libc().read(file.fd, chunk, chunk.length);
    if (count < 0) {
      const errno = lastErrno();
      if (errno === EINTR) continue;
      // What /proc says of a process that has gone since the file was opened.
      if (errno === ESRCH) return undefined;
      throw new OsError("read", errno, file.what);
    }
    if (count === 0) {
      const whole = new Uint8Array(total);
      let offset = 0;
      for (const part of text) {
        whole.set(part, offset);
        offset += part.length;
      }
      return decoder.decode(whole);
    }
    text.push(chunk.slice(0, count));
    total += count;
  }
  throw new OsError("read", ERANGE, file.what);
}

/**
 * Reads some bytes of an open file.
 *
 * @returns How many; 0 at its end, -1 if a nonblocking one has none now.
 * @throws {OsError} EISDIR, EIO, …
 *
 * **Blocking**: as the file is. **Safety**: reads into `target` only.
 */
export function readSome(
  file: OwnedFd,
  target: Uint8Array<ArrayBuffer>,
): number {
  for (;;) {
    const count = libc().read(file.fd, target, target.length);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EAGAIN) return -1;
    if (errno !== EINTR) throw new OsError("read", errno, `fd ${file.fd}`);
  }
}

/**
 * A second fd for the same open file, close-on-exec.
 *
 * Both share the file's flags: never change those of a borrowed one.
 *
 * @throws {OsError} EBADF, EMFILE.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function duplicate(fd: number): OwnedFd {
  return new OwnedFd(
    check(libc().fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl", `fd ${fd}`),
    `copy of fd ${fd}`,
  );
}

/**
 * True for a descriptor that was open before this program began, which leaves
 * none open for programs that it starts: those of the runtime are close-on-exec.
 *
 * **Safety**: looks only.
 */
export function isInherited(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFD, 0);
  return flags >= 0 && (flags & FD_CLOEXEC) === 0;
}

/**
 * Returns the access that an open file was opened for.
 *
 * @returns Whether it can be read and written; neither for one that was opened
 * with O_PATH, which is open for nothing.
 * @throws {OsError} EBADF if it is not open.
 *
 * **Safety**: looks only.
 */
export function openFor(fd: number): { read: boolean; write: boolean } {
  const flags = check(libc().fcntl(fd, F_GETFL, 0), "fcntl", `fd ${fd}`);
  if ((flags & O_PATH) !== 0) return { read: false, write: false };
  const mode = flags & O_ACCMODE;
  return { read: mode !== O_WRONLY, write: mode !== O_RDONLY };
}

/**
 * Returns true if an open file is nonblocking (O_NONBLOCK).
 *
 * @throws {OsError} EBADF if it is not open.
 *
 * **Safety**: looks only; a borrowed fd's flags are not ours to change.
 */
export function isNonblocking(fd: number): boolean {
  return (check(libc().fcntl(fd, F_GETFL, 0), "fcntl", `fd ${fd}`) &
    O_NONBLOCK) !== 0;
}

/**
 * Makes an open file nonblocking, for as long as it is open.
 *
 * @throws {OsError} If the kernel refuses.
 *
 * **Ownership**: takes the owner, not the number: a borrowed fd's flags are not
 * ours to change. **Safety**: all users of the open file share the flag.
 */
export function makeNonblocking(owned: OwnedFd): void {
  const { fcntl } = libc();
  const flags = check(fcntl(owned.fd, F_GETFL, 0), "fcntl", owned.what);
  check(fcntl(owned.fd, F_SETFL, flags | O_NONBLOCK), "fcntl", owned.what);
}
