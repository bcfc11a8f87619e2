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
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
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
 * Properties of a file that are known without opening it.
 *
 * **Safety**: plain data.
 */
export interface FileStatus {
  /** Kind of the file. */
  readonly kind: FileKind;
  /** Permission bits. */
  readonly mode: number;
  /** Owner's user id. */
  readonly uid: number;
  /** Owner's group id. */
  readonly gid: number;
  /** Names that the file has: hard links. */
  readonly links: number;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Preferred unit of input and output in bytes; of hugetlbfs its page size.
   */
  readonly blockBytes: number;
  /** Device number of a device file; 0 of others. */
  readonly major: number;
  /** Device number of a device file; 0 of others. */
  readonly minor: number;
  /** Tells the file from every other one of its file system. */
  readonly inode: bigint;
  /**
   * Tells the file from every other one, as long as it is open somewhere; from
   * later ones of the same inode number too, where the file system keeps the
   * time at which a file was made.
   */
  readonly identity: string;
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
    libc().statx(
      directory,
      name,
      flags,
      STATX_BASIC_STATS | STATX_BTIME,
      buffer,
    ) < 0
  ) {
    const errno = lastErrno();
    if (errno === ENOENT || errno === ENOTDIR) return undefined;
    throw new OsError("statx", errno, subject);
  }
  const view = new DataView(buffer.buffer);
  const mode = view.getUint16(STATX.at.stx_mode, LITTLE_ENDIAN);
  const { at } = STATX;
  const inode = view.getBigUint64(at.stx_ino, LITTLE_ENDIAN);
  const wasTold = view.getUint32(at.stx_mask, LITTLE_ENDIAN);
  const birth = (wasTold & STATX_BTIME) === 0 ? "" : [
    view.getBigInt64(
      at.stx_btime + STATX_TIMESTAMP.at.tv_sec,
      LITTLE_ENDIAN,
    ),
    view.getUint32(
      at.stx_btime + STATX_TIMESTAMP.at.tv_nsec,
      LITTLE_ENDIAN,
    ),
  ].join(".");
  return {
    kind: FILE_KINDS[mode & S_IFMT] ?? "something else",
    mode: mode & 0o7777,
    uid: view.getUint32(STATX.at.stx_uid, LITTLE_ENDIAN),
    gid: view.getUint32(STATX.at.stx_gid, LITTLE_ENDIAN),
    links: view.getUint32(STATX.at.stx_nlink, LITTLE_ENDIAN),
    size: Number(view.getBigUint64(STATX.at.stx_size, LITTLE_ENDIAN)),
    blockBytes: view.getUint32(STATX.at.stx_blksize, LITTLE_ENDIAN),
    major: view.getUint32(STATX.at.stx_rdev_major, LITTLE_ENDIAN),
    minor: view.getUint32(STATX.at.stx_rdev_minor, LITTLE_ENDIAN),
    inode,
    identity: [
      view.getUint32(at.stx_dev_major, LITTLE_ENDIAN),
      view.getUint32(at.stx_dev_minor, LITTLE_ENDIAN),
      inode,
      birth,
    ].join(":"),
  };
}

/**
 * Returns the kind and properties of `path`; undefined if there is no such
 * file.
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
 * Returns the kind and properties of an open fd.
 *
 * @throws {OsError} EBADF if it is not open.
 *
 * **Safety**: looks only.
 */
export function fdStatus(fd: number): FileStatus {
  return status(fd, "", AT_EMPTY_PATH, `fd ${fd}`)!;
}

/**
 * Returns the kind and properties of `name` in an open directory, links not
 * followed;
 * undefined if there is none.
 *
 * @throws {OsError} EACCES, …
 *
 * **Safety**: looks only.
 */
export function statusAt(
  directory: OwnedFd,
  name: string,
): FileStatus | undefined {
  return status(
    directory.fd,
    name,
    AT_SYMLINK_NOFOLLOW,
    `${directory.what}/${name}`,
  );
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

/** `d_type` of `struct linux_dirent64`, by value. */
const DIRENT_KINDS: Readonly<Record<number, FileKind>> = {
  1: "fifo",
  2: "character device",
  4: "directory",
  6: "block device",
  8: "regular file",
  10: "symbolic link",
  12: "socket",
};

/**
 * An entry of a directory.
 *
 * **Safety**: plain data.
 */
export interface DirectoryEntry {
  /** The name within the directory. */
  readonly name: string;
  /**
   * The kind of file, links not followed; undefined if the file system does not
   * say.
   */
  readonly kind: FileKind | undefined;
}

/**
 * Lists a directory, in no order, without `.` and `..`.
 *
 * @param maxEntries Where to stop, or a few hundred later: the directory may be
 * one that others fill.
 * @throws {OsError} ENOENT, ENOTDIR, EACCES, …
 *
 * **Safety**: opens, reads and closes.
 */
export function listEntries(
  path: string,
  maxEntries = Infinity,
): DirectoryEntry[] {
  using directory = openFile(path, O_RDONLY | O_DIRECTORY);
  const entries: DirectoryEntry[] = [];
  const buffer = new Uint8Array(32 * 1024);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = check(
      libc().getdents64(directory.fd, buffer, buffer.length),
      "getdents64",
      path,
    );
    if (length === 0 || entries.length >= maxEntries) return entries;
    for (let offset = 0; offset < length;) {
      const start = offset + DIRENT64.at.d_name;
      const name = decoder.decode(
        buffer.subarray(start, buffer.indexOf(0, start)),
      );
      if (name !== "." && name !== "..") {
        const type = view.getUint8(offset + DIRENT64.at.d_type);
        entries.push({ name, kind: DIRENT_KINDS[type] });
      }
      offset += view.getUint16(offset + DIRENT64.at.d_reclen, LITTLE_ENDIAN);
    }
  }
}

/**
 * The names in a directory, in no order, without `.` and `..`.
 *
 * @throws {OsError} ENOENT, ENOTDIR, EACCES, …
 *
 * **Safety**: opens, reads and closes.
 */
export function listDirectory(path: string): string[] {
  return listEntries(path).map(({ name }) => name);
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
