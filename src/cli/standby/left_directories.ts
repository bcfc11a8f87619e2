/**
 * Directories of a keeper and its spares, which the next keeper removes if their
 * process was killed: each has the socket of a {@linkcode KeeperSocket}, at which
 * nothing listens any more.
 *
 * @module
 */
import { connectDatagram } from "../../../ffi/datagram.ts";
import { listEntries } from "../../../ffi/directory_entries.ts";
import { isOsError } from "../../../ffi/os_error.ts";

/** Begins the name of a keeper's directory. */
export const KEEPER_PREFIX = "gpioagg-keeper-";
/** Begins the name of a warm-up's directory. */
export const WARM_UP_PREFIX = "gpioagg-warm-up-";

/** Entries of the directory that are looked at: others may fill it. */
const MOST_ENTRIES = 10_000;
/** Age below which a process may be about to listen. **Units**: ms. */
const YOUNG_MS = 60_000;

/**
 * Removes those that are beside a directory of this process, and have the same
 * owner. What cannot be removed stays.
 *
 * @param directory Path of the directory.
 */
export function removeLeftDirectories(directory: string): void {
  const parent = directory.slice(0, directory.lastIndexOf("/"));
  try {
    const { uid } = Deno.lstatSync(directory);
    for (const { name } of listEntries(parent, MOST_ENTRIES)) {
      const isOne = name.startsWith(KEEPER_PREFIX) ||
        name.startsWith(WARM_UP_PREFIX);
      if (isOne) removeIfLeft(`${parent}/${name}`, uid);
    }
  } catch {
    // Nothing depends on it.
  }
}

function removeIfLeft(path: string, owner: number | null): void {
  try {
    const { isDirectory, uid, mtime } = Deno.lstatSync(path);
    if (!isDirectory || uid !== owner) return;
    if (mtime === null || Date.now() - mtime.getTime() < YOUNG_MS) return;
    if (isDeserted(`${path}/notify`)) {
      Deno.removeSync(path, { recursive: true });
    }
  } catch {
    // It was removed meanwhile, or stays.
  }
}

/** Returns true for a socket file whose socket is closed. */
function isDeserted(path: string): boolean {
  try {
    connectDatagram(path).close();
    return false;
  } catch (error) {
    return isOsError(error, "ECONNREFUSED");
  }
}
