/**
 * Open files of another process: for tests that look for leaks.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { until } from "./wait.ts";

/** Counts of a process. */
export interface OpenFiles {
  readonly descriptors: number;
  /** Mappings of memory that other processes gave it, or that has no file more. */
  readonly mappings: number;
}

/** Returns what a process has open now. */
export function listOpenFiles(pid: number): OpenFiles {
  const maps = readSmallFile(`/proc/${pid}/maps`) ?? "";
  return {
    descriptors: listDirectory(`/proc/${pid}/fd`).length,
    mappings: maps.match(/memfd:|\(deleted\)$/gm)?.length ?? 0,
  };
}

/**
 * Waits until a process has no more open than before.
 *
 * @throws {Error} If it does not come to that.
 */
export async function untilNoneIsLeft(
  pid: number,
  before: OpenFiles,
): Promise<void> {
  let now = before;
  await until("nothing is left over", () => {
    now = listOpenFiles(pid);
    return now.descriptors <= before.descriptors &&
      now.mappings <= before.mappings;
  }, 60_000).catch((cause) => {
    throw new Error(`${JSON.stringify(now)}, not ${JSON.stringify(before)}`, {
      cause,
    });
  });
}
