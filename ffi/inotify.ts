/**
 * inotify: notifications of names that appear, vanish or change in a directory.
 *
 * @module
 */
import { EINTR } from "./errno.ts";
import { layout, LITTLE_ENDIAN, U32 } from "./layout.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";

/** Owner or permissions changed. **Safety**: a constant. */
export const IN_ATTRIB = 0x4;
/** A name was moved away. **Safety**: a constant. */
export const IN_MOVED_FROM = 0x40;
/** A name was moved here. **Safety**: a constant. */
export const IN_MOVED_TO = 0x80;
/** A name was made. **Safety**: a constant. */
export const IN_CREATE = 0x100;
/** A name was removed. **Safety**: a constant. */
export const IN_DELETE = 0x200;

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;

// The name follows, NUL-padded, `len` bytes.
const INOTIFY_EVENT = layout("inotify_event", 16, [
  ["wd", U32],
  ["mask", U32],
  ["cookie", U32],
  ["len", U32],
]);

const buffer = new Uint8Array(16 * 1024);
const view = new DataView(buffer.buffer);
const decoder = new TextDecoder();

/**
 * Watches a directory; the fd is readable when something happened in it.
 *
 * **Ownership**: the caller's; closing it ends the watch. **Safety**: a plain
 * fd, close-on-exec and nonblocking.
 *
 * @param mask What is of interest, such as `IN_CREATE | IN_DELETE`.
 * @throws {OsError} ENOENT, EACCES, or EMFILE if there are too many.
 */
export function watchDirectory(path: string, mask: number): OwnedFd {
  using fd = new OwnedFd(
    check(
      libc().inotifyInit1(IN_CLOEXEC | IN_NONBLOCK),
      "inotify_init1",
      path,
    ),
    `watch of ${path}`,
  );
  check(
    libc().inotifyAddWatch(fd.fd, cString(path), mask),
    "inotify_add_watch",
    path,
  );
  return new OwnedFd(fd.release(), `watch of ${path}`);
}

/**
 * The names that something happened to since the last call; each as often as
 * something happened. An empty name: so much that the kernel dropped some.
 *
 * **Blocking**: never. **Safety**: reads into a buffer of this module; the
 * kernel writes whole events only.
 */
export function readChangedNames(fd: number): string[] {
  const names: string[] = [];
  for (;;) {
    const length = libc().read(fd, buffer, buffer.length);
    if (length < 0 && lastErrno() === EINTR) continue;
    if (length <= 0) return names;
    for (let offset = 0; offset < length;) {
      const nameLength = view.getUint32(
        offset + INOTIFY_EVENT.at.len,
        LITTLE_ENDIAN,
      );
      const start = offset + INOTIFY_EVENT.size;
      const name = decoder.decode(buffer.subarray(start, start + nameLength));
      names.push(name.split("\0", 1)[0]!);
      offset = start + nameLength;
    }
  }
}
