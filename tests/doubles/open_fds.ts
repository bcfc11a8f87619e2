/**
 * Finding leaked fds by what they refer to. Counting all fds of the process
 * would count those of tests that run beside this one, too.
 *
 * @module
 */
import {
  fdStatus,
  listDirectory,
  readLink,
  readSmallFile,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";

/** What an fd refers to, equal for copies only; undefined if it is not open. */
function identity(fd: number | string): string | undefined {
  try {
    const link = readLink(`/proc/self/fd/${fd}`);
    if (link === "anon_inode:[eventfd]") {
      const info = readSmallFile(`/proc/self/fdinfo/${fd}`) ?? "";
      return `eventfd ${/^eventfd-id:\s*(\d+)$/m.exec(info)?.[1]}`;
    }
    return link && `${link} ${fdStatus(Number(fd)).inode}`;
  } catch (error) {
    // Closed by another test in between.
    if (isOsError(error, "ENOENT", "EBADF")) return undefined;
    throw error;
  }
}

/** How many fds of this process refer to what one of `fds` refers to. */
export function countCopies(...fds: readonly number[]): number {
  const wanted = new Set(fds.map((fd) => identity(fd)));
  return listDirectory("/proc/self/fd")
    .filter((fd) => {
      const found = identity(fd);
      return found !== undefined && wanted.has(found);
    }).length;
}
