/**
 * Resources of a process, as the kernel counts them.
 *
 * **Source**: proc(5).
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";

/** A process's memory. **Units**: bytes. */
export interface Memory {
  /** All pages that are in memory, shared ones counted in full. */
  readonly resident: number;
  /** Pages that no other process maps. */
  readonly private: number;
}

/**
 * CPU time of all threads, in user and kernel mode.
 *
 * **Units**: microseconds. Threads that have ended are not counted, which the
 * kernel's own total in `stat` would, but in units of 10 ms.
 */
export function cpuTimeUs(pid: number): number {
  let total = 0;
  for (const task of listTasks(pid)) {
    const text = readSmallFile(`${task}/schedstat`);
    if (text !== undefined) total += Number(text.split(" ", 1)[0]) / 1000;
  }
  return total;
}

/**
 * Returns how often each thread of a process went to sleep by itself, by thread
 * id.
 */
export function sleepCounts(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const task of listTasks(pid)) {
    const text = readSmallFile(`${task}/status`);
    const match = /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(text ?? "");
    if (match !== null) counts.set(task, Number(match[1]));
  }
  return counts;
}

/**
 * Returns how often threads woke up between two counts. A thread that has ended
 * in between did it once at least.
 */
export function wakeUps(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  let total = 0;
  for (const [task, count] of after) total += count - (before.get(task) ?? 0);
  for (const task of before.keys()) if (!after.has(task)) total++;
  return total;
}

/** A process's memory. */
export function readMemory(pid: number): Memory {
  const text = readSmallFile(`/proc/${pid}/smaps_rollup`) ?? "";
  const field = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(text)?.[1]);
  return {
    resident: field("Rss"),
    private: field("Private_Clean") + field("Private_Dirty"),
  };
}

function listTasks(pid: number): string[] {
  const directory = `/proc/${pid}/task`;
  return listDirectory(directory).map((task) => `${directory}/${task}`);
}
