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

/** Returns what an fd's link says; undefined if the fd is not open. */
function readFdLink(fd: number | string): string | undefined {
  try {
    return readLink(`/proc/self/fd/${fd}`);
  } catch (error) {
    // Closed by another test in between.
    if (isOsError(error, "ENOENT", "EBADF")) return undefined;
    throw error;
  }
}

/**
 * Returns the identity of what an fd with this link refers to, equal for copies
 * only; undefined if it is not open.
 */
function identity(
  fd: number | string,
  link: string | undefined,
): string | undefined {
  try {
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
  const links = fds.map((fd) => readFdLink(fd));
  const wanted = new Set(fds.map((fd, i) => identity(fd, links[i])));
  const linked = new Set(links);
  return listDirectory("/proc/self/fd")
    .filter((fd) => {
      const link = readFdLink(fd);
      // Most are told from the wanted ones by their links, which is cheap.
      if (!linked.has(link)) return false;
      const found = identity(fd, link);
      return found !== undefined && wanted.has(found);
    }).length;
}
