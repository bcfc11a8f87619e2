/**
 * Kind and properties of files, without opening them.
 *
 * @module
 */
import { ENOENT, ENOTDIR } from "./errno.ts";
import {
  array,
  bytes,
  I64,
  layout,
  LITTLE_ENDIAN,
  U16,
  U32,
  U64,
} from "./layout.ts";
import { cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import type { OwnedFd } from "./owned_fd.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
const S_IFMT = 0o170000;

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
  /** Distinguishes the file from every other one of its file system. */
  readonly inode: bigint;
  /**
   * Distinguishes the file from every other, while it is open somewhere; from
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
 * Returns the kind of `path`; undefined if there is no such file, or that cannot
 * be told.
 *
 * **Safety**: looks only.
 */
export function fileKind(path: string): FileKind | undefined {
  try {
    return fileStatus(path)?.kind;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return undefined;
  }
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
