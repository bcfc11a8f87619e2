/**
 * Resources that a server process uses, for finding leaks.
 *
 * @module
 */
import { assert } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";

const QUIET_MS = 100;
const LIMIT_MS = 120_000;

/**
 * Returns the number of fds of a process, once it stands still: a server takes
 * note of a lost connection a moment after it was lost.
 *
 * @throws {Error} If it does not stand still.
 */
export async function settledFdCount(pid: number): Promise<number> {
  const deadline = performance.now() + LIMIT_MS;
  let last = -1;
  while (performance.now() < deadline) {
    const now = listDirectory(`/proc/${pid}/fd`).length;
    if (now === last) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }
  throw new Error(`The fds of process ${pid} change for ever: ${last} now`);
}

/**
 * Waits until a process has no more fds than before: a service under load
 * settles later than its count of fds does.
 */
export async function assertNoMoreFds(
  pid: number,
  before: number,
): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  let count = await settledFdCount(pid);
  while (count > before && performance.now() < deadline) {
    count = await settledFdCount(pid);
  }
  assert(count <= before, `fds leak: ${before} before, ${count} now`);
}

/** The memory that a process has. **Units**: MB. */
export function residentMb(pid: number): number {
  const status = readSmallFile(`/proc/${pid}/status`) ?? "";
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
