/**
 * Suggestions for paths of sockets that are not there.
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileKind } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { nearest } from "../text/nearest.ts";

/**
 * Returns the socket of the same directory whose name `path` is most likely a
 * slip of; undefined if there is none.
 */
export function similarSocket(path: string): string | undefined {
  const slash = path.lastIndexOf("/") + 1;
  const directory = path.slice(0, slash);
  const sockets = listEntries(directory || ".").filter((entry) =>
    fileKind(directory + entry) === "socket"
  );
  if (fileKind(path) === "socket") return undefined;
  const near = nearest(path.slice(slash), sockets);
  return near === undefined ? undefined : directory + near;
}

/** Returns the suggestion to add to a message; empty if there is none. */
export function socketSuggestion(path: string): string {
  const similar = similarSocket(path);
  return similar === undefined ? "" : `; did you mean ${similar}?`;
}

/** Lists the names in a directory; none if it cannot be read. */
export function listEntries(directory: string): string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (!isOsError(error)) throw error;
    return [];
  }
}
