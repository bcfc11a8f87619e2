/**
 * Finding leaked fds by what they refer to. Counting all fds of the process
 * would count those of tests that run beside this one, too.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fdStatus } from "../../ffi/file_status.ts";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";

/**
 * Returns the identity of what an fd refers to, equal for copies only;
 * undefined if it is not open.
 */
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

/** Limit of what closes fds later. **Units**: ms. */
const CLOSE_LIMIT_MS = 60_000;

/**
 * Returns the number of all fds of this process, once there are `expected`, or
 * after a minute: for a process in which nothing else runs (`testAlone`).
 */
export async function settledFds(expected: number): Promise<number> {
  const deadline = performance.now() + CLOSE_LIMIT_MS;
  for (;;) {
    const { length } = listDirectory("/proc/self/fd");
    if (length === expected || performance.now() > deadline) return length;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Limit of the helper threads that close what was given. **Units**: ms. */
const HELPERS_LIMIT_MS = 30_000;

/**
 * Returns the number of fds of this process that refer to what one of `fds`
 * refers to, once what is closed elsewhere is closed.
 */
export function countCopies(...fds: readonly number[]): number {
  if (!helpersAreDone(HELPERS_LIMIT_MS)) throw new Error("a close hangs");
  const wanted = new Set(fds.map((fd) => identity(fd)));
  return listDirectory("/proc/self/fd")
    .filter((fd) => {
      const found = identity(fd);
      return found !== undefined && wanted.has(found);
    }).length;
}
