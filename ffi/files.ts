/**
 * What Deno's own file API cannot do, or only with more permissions.
 *
 * Everything here goes through libc, so that `--allow-ffi` is enough: Deno
 * itself refuses `/proc/self/…` and `/dev/…` without `--allow-all`.
 *
 * @module
 */
import { EINTR, EINVAL, ENOENT, ENOTDIR, ERANGE, ESRCH } from "./errno.ts";
import {
  array,
  bytes,
  I64,
  layout,
  LITTLE_ENDIAN,
  U16,
  U32,
  U64,
  U8,
} from "./layout.ts";
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
/** Never wait. **Safety**: a constant. */
export const O_NONBLOCK = 0o4000;
/** Not for child processes. **Safety**: a constant. */
export const O_CLOEXEC = 0o2000000;
/**
 * Fail if it is not a directory; not the same number on the two targets.
 * **Safety**: a constant.
 */
export const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
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
 * Where a symbolic link points to; undefined if there is none of that name.
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

const STATX_TIMESTAMP = layout("statx_timestamp", 16, [
  ["tv_sec", I64],
  ["tv_nsec", U32],
  ["_reserved", U32],
]);
// The same on every architecture, which `struct stat` is not.
const STATX = layout("statx", 256, [
  ["stx_mask", U32],
  ["stx_blksize", U32],
  ["stx_attributes", U64],
  ["stx_nlink", U32],
  ["stx_uid", U32],
  ["stx_gid", U32],
  ["stx_mode", U16],
  ["_spare0", bytes(2)],
  ["stx_ino", U64],
  ["stx_size", U64],
  ["stx_blocks", U64],
  ["stx_attributes_mask", U64],
  ["stx_atime", STATX_TIMESTAMP],
  ["stx_btime", STATX_TIMESTAMP],
  ["stx_ctime", STATX_TIMESTAMP],
  ["stx_mtime", STATX_TIMESTAMP],
  ["stx_rdev_major", U32],
  ["stx_rdev_minor", U32],
  ["stx_dev_major", U32],
  ["stx_dev_minor", U32],
  ["_spare", array(U64, 14)],
]);

const FILE_KINDS: Readonly<Record<number, FileKind>> = {
  0o010000: "fifo",
  0o020000: "character device",
  0o040000: "directory",
  0o060000: "block device",
  0o100000: "regular file",
  0o120000: "symbolic link",
  0o140000: "socket",
};

/**
 * The kinds of files there are.
 *
 * **Safety**: plain data.
 */
export type FileKind =
  | "fifo"
  | "character device"
  | "directory"
  | "block device"
  | "regular file"
  | "symbolic link"
  | "socket"
  | "something else";

/**
 * What is known of a file without opening it.
 *
 * **Safety**: plain data.
 */
export interface FileStatus {
  /** What kind of file it is. */
  readonly kind: FileKind;
  /** Permission bits. */
  readonly mode: number;
  /** Owner's user id. */
  readonly uid: number;
  /** Owner's group id. */
  readonly gid: number;
  /** Length in bytes. */
  readonly size: number;
  /** Device number of a device file; 0 of others. */
  readonly major: number;
  /** Device number of a device file; 0 of others. */
  readonly minor: number;
  /** Tells the file from every other one of its file system. */
  readonly inode: bigint;
}

function status(
  directory: number,
  path: string,
  flags: number,
  subject: string,
): FileStatus | undefined {
  const name = cString(path);
  const buffer = new Uint8Array(STATX.size);
  if (
    libc().statx(directory, name, flags, STATX_BASIC_STATS, buffer) < 0
  ) {
    const errno = lastErrno();
    if (errno === ENOENT || errno === ENOTDIR) return undefined;
    throw new OsError("statx", errno, subject);
  }
  const view = new DataView(buffer.buffer);
  const mode = view.getUint16(STATX.at.stx_mode, LITTLE_ENDIAN);
  return {
    kind: FILE_KINDS[mode & S_IFMT] ?? "something else",
    mode: mode & 0o7777,
    uid: view.getUint32(STATX.at.stx_uid, LITTLE_ENDIAN),
    gid: view.getUint32(STATX.at.stx_gid, LITTLE_ENDIAN),
    size: Number(view.getBigUint64(STATX.at.stx_size, LITTLE_ENDIAN)),
    major: view.getUint32(STATX.at.stx_rdev_major, LITTLE_ENDIAN),
    minor: view.getUint32(STATX.at.stx_rdev_minor, LITTLE_ENDIAN),
    inode: view.getBigUint64(STATX.at.stx_ino, LITTLE_ENDIAN),
  };
}

/**
 * What kind of file `path` is; undefined if there is none.
 *
 * @param options `followLinks: false` looks at a link itself.
 * @throws {OsError} EACCES, ELOOP, …
 *
 * **Safety**: looks only.
 */
export function fileStatus(
  path: string,
  options: { followLinks?: boolean } = {},
): FileStatus | undefined {
  const flags = options.followLinks === false ? AT_SYMLINK_NOFOLLOW : 0;
  return status(AT_FDCWD, path, flags, path);
}

/**
 * What kind of file an open fd is.
 *
 * @throws {OsError} EBADF if it is not open.
 *
 * **Safety**: looks only.
 */
export function fdStatus(fd: number): FileStatus {
  return status(fd, "", AT_EMPTY_PATH, `fd ${fd}`)!;
}

/**
 * The device number of a character device, links followed; undefined if `path`
 * is something else or nothing.
 *
 * @throws {OsError} EACCES, ELOOP, …
 *
 * **Safety**: looks only.
 */
export function characterDevice(
  path: string,
): { major: number; minor: number } | undefined {
  const file = fileStatus(path);
  if (file?.kind !== "character device") return undefined;
  return { major: file.major, minor: file.minor };
}

// Variable length: the name follows, NUL-terminated.
const DIRENT64 = layout("linux_dirent64", 24, [
  ["d_ino", U64],
  ["d_off", I64],
  ["d_reclen", U16],
  ["d_type", U8],
  ["d_name", bytes(5)],
]);

/**
 * The names in a directory, in no order, without `.` and `..`.
 *
 * @throws {OsError} ENOENT, ENOTDIR, EACCES, …
 *
 * **Safety**: opens, reads and closes.
 */
export function listDirectory(path: string): string[] {
  using directory = openFile(path, O_RDONLY | O_DIRECTORY);
  const names: string[] = [];
  const buffer = new Uint8Array(32 * 1024);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = check(
      libc().getdents64(directory.fd, buffer, buffer.length),
      "getdents64",
      path,
    );
    if (length === 0) return names;
    for (let offset = 0; offset < length;) {
      const start = offset + DIRENT64.at.d_name;
      const name = decoder.decode(
        buffer.subarray(start, buffer.indexOf(0, start)),
      );
      if (name !== "." && name !== "..") names.push(name);
      offset += view.getUint16(offset + DIRENT64.at.d_reclen, LITTLE_ENDIAN);
    }
  }
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
  const chunk = new Uint8Array(4096);
  const text: Uint8Array[] = [];
  for (let total = 0; total <= maxBytes;) {
    const count = libc().read(file.fd, chunk, chunk.length);
    if (count < 0) {
      const errno = lastErrno();
      if (errno === EINTR) continue;
      // What /proc says of a process that has gone since the file was opened.
      if (errno === ESRCH) return undefined;
      throw new OsError("read", errno, path);
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
  throw new OsError("read", ERANGE, path);
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
 * Whether an open file is nonblocking (O_NONBLOCK).
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
 * ours to change. **Safety**: whoever shares the open file shares the flag.
 */
export function makeNonblocking(owned: OwnedFd): void {
  const { fcntl } = libc();
  const flags = check(fcntl(owned.fd, F_GETFL, 0), "fcntl", owned.what);
  check(fcntl(owned.fd, F_SETFL, flags | O_NONBLOCK), "fcntl", owned.what);
}

/**
 * Removes a name from the file system; does nothing if there is none.
 *
 * @throws {OsError} EACCES, EISDIR, …
 *
 * **Safety**: what is open stays usable.
 */
export function unlink(path: string): void {
  if (libc().unlink(cString(path)) < 0) {
    const errno = lastErrno();
    if (errno !== ENOENT) throw new OsError("unlink", errno, path);
  }
}
