/**
 * Sockets that processes have open: for tests of what a child inherits.
 *
 * @module
 */
import { readLink } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";

/**
 * Returns the sockets in a text that has the links of `/proc/PID/fd`, each as
 * `socket:[INODE]`. Default: those of this process.
 */
export function openSockets(links = readLinks("self")): Set<string> {
  return new Set(links.match(/socket:\[\d+\]/g));
}

/** Returns the links of the files that a process has open, one a line. */
export function readLinks(pid: number | "self"): string {
  const directory = `/proc/${pid}/fd`;
  return listDirectory(directory)
    .map((fd) => readLink(`${directory}/${fd}`) ?? "").join("\n");
}
