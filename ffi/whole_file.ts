/**
 * Files and links that others see whole or not at all, also where a disk is full.
 *
 * @module
 */
import { EEXIST } from "./errno.ts";
import { makeLinkAt, moveAt, replaceAt, unlinkAt } from "./directory.ts";
import { O_WRONLY } from "./files.ts";
import { statusAt } from "./file_status.ts";
import { isOsError, OsError } from "./os_error.ts";
import type { OwnedFd } from "./owned_fd.ts";
import {
  hiddenName,
  makeFile,
  openDirectory,
  splitPath,
  UntrustedPathError,
  writeWhole,
} from "./trusted_path.ts";

/**
 * Writes a file, whole or not at all: others see the old one or the new one.
 *
 * @param mode Permission bits of the file, whatever the umask is.
 * @throws {UntrustedPathError} If a link of another user is on the way, or what
 * is there is not a regular file.
 * @throws {OsError} ENOENT, EACCES, ENOSPC, …
 *
 * **Blocking**: as the disk does. **Safety**: a link at `path` is replaced, not
 * followed.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const { directory: directoryPath, name } = splitPath(path);
  using directory = openDirectory(directoryPath);
  const there = statusAt(directory, name);
  if (
    name === "" || name === "." || name === ".." ||
    there !== undefined && there.kind !== "regular file" &&
      there.kind !== "symbolic link"
  ) {
    throw new UntrustedPathError(
      `Cannot replace ${path}: it is a ${there?.kind ?? "directory"}, not a ` +
        `regular file`,
    );
  }
  replaceFileAt(directory, name, text, mode);
}

/**
 * The same in an open directory.
 *
 * @throws {OsError} EACCES, ENOSPC, …
 *
 * **Blocking**: as the disk does. **Safety**: what has the name is replaced; no
 * link is followed.
 */
export function replaceFileAt(
  directory: OwnedFd,
  name: string,
  text: string,
  mode: number,
): void {
  writeBeside(
    directory,
    name,
    (fresh) => writeNew(directory, fresh, text, mode),
    (fresh) => {
      replaceAt(directory, fresh, directory, name);
      return true;
    },
  );
}

/**
 * Makes a symbolic link; another file or link of this name is replaced.
 *
 * @throws {UntrustedPathError} If a link of another user is on the way.
 * @throws {OsError} EACCES, ENOSPC, EISDIR if a directory has the name, …
 *
 * **Safety**: the name exists all the time, if it did.
 */
export function replaceLink(path: string, target: string): void {
  const { directory: directoryPath, name } = splitPath(path);
  using directory = openDirectory(directoryPath);
  writeBeside(
    directory,
    name,
    (fresh) => makeLinkAt(directory, fresh, target),
    (fresh) => {
      replaceAt(directory, fresh, directory, name);
      return true;
    },
  );
}

/**
 * Makes a file in an open directory, whole or not at all; answers false if the
 * name is taken.
 *
 * @param mode Permission bits of the file, whatever the umask is.
 * @throws {OsError} EACCES, ENOSPC, …
 *
 * **Blocking**: as the disk does. **Safety**: replaces nothing; no link is
 * followed.
 */
export function makeFileAt(
  directory: OwnedFd,
  name: string,
  text: string,
  mode: number,
): boolean {
  return statusAt(directory, name) === undefined &&
    writeBeside(
      directory,
      name,
      (fresh) => writeNew(directory, fresh, text, mode),
      (fresh) => moveAt(directory, fresh, directory, name),
    );
}

/**
 * Writes a file of another name, and has it `put` in its place. Errors are about
 * the file that is meant.
 */
function writeBeside(
  directory: OwnedFd,
  name: string,
  make: (fresh: string) => void,
  put: (fresh: string) => boolean,
): boolean {
  const fresh = hiddenName();
  let isPut = false;
  try {
    make(fresh);
    return isPut = put(fresh);
  } catch (error) {
    if (!isOsError(error)) throw error;
    const { syscall, errno } = error;
    const path = `${directory.what.replace(/\/$/, "")}/${name}`;
    throw new OsError(syscall, errno, path, { cause: error });
  } finally {
    if (!isPut) removeQuietly(directory, fresh);
  }
}

/** Removes what may not be there; the first error is the one that counts. */
function removeQuietly(directory: OwnedFd, name: string): void {
  try {
    unlinkAt(directory, name);
  } catch (error) {
    if (!isOsError(error)) throw error;
  }
}

/** Makes a file that has all of a text. */
function writeNew(
  directory: OwnedFd,
  name: string,
  text: string,
  mode: number,
): void {
  using file = makeFile(directory, name, O_WRONLY, mode);
  if (file === undefined) throw new OsError("open", EEXIST, directory.what);
  writeWhole(file, new TextEncoder().encode(text));
}
