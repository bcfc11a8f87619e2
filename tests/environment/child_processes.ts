/**
 * Child processes of a process, on kernels without /proc/PID/task/PID/children
 * too.
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import { readSmallFile } from "../../ffi/files.ts";

/** Returns the children of a process that run, the oldest first. */
export function listChildren(pid: number): number[] {
  const children: { pid: number; start: number }[] = [];
  for (const name of listDirectory("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // State, parent, …, start; a name may have blanks and parentheses.
    const stat = readSmallFile(`/proc/${name}/stat`) ?? "";
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[1] !== `${pid}`) continue;
    children.push({ pid: Number(name), start: Number(fields[19]) });
  }
  children.sort((a, b) => a.start - b.start || a.pid - b.pid);
  return children.map(({ pid }) => pid);
}
