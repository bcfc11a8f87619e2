/**
 * Entries of a directory, with the kind of each.
 *
 * @module
 */
import type { FileKind } from "./file_status.ts";
import { O_DIRECTORY, O_RDONLY, openFile } from "./files.ts";
import { bytes, I64, layout, LITTLE_ENDIAN, U16, U64, U8 } from "./layout.ts";
import { check, libc } from "./libc.ts";

const decoder = new TextDecoder();

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
interface DirectoryEntry {
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
