/**
 * Is this file a GPIO chip's, and if not, what is it?
 *
 * @module
 */
import { errnoCode, errnoText } from "../../ffi/errno.ts";
import {
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  openFile,
  readLink,
} from "../../ffi/files.ts";
import {
  fdStatus,
  type FileStatus,
  fileStatus,
} from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { LineError } from "./errors.ts";

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * Returns what a path leads to if that is not a GPIO chip; undefined if it is one.
 * Looks only.
 *
 * @throws {OsError} If it may not be looked at.
 */
export function whyNotChip(path: string): string | undefined {
  const file = fileStatus(path);
  return file === undefined ? NO_SUCH_FILE : whyNotChipFile(file);
}

const NO_SUCH_FILE = "no such file";

function whyNotChipFile(file: FileStatus): string | undefined {
  if (file.kind !== "character device") return `it is a ${file.kind}`;
  const node = `/sys/dev/char/${file.major}:${file.minor}`;
  const subsystem = readLink(`${node}/subsystem`);
  if (subsystem === undefined) {
    // Without sysfs only the device itself can tell.
    return fileStatus("/sys/dev/char") === undefined
      ? undefined
      : `it is character device ${file.major}:${file.minor}, which belongs to no subsystem`;
  }
  const name = baseName(subsystem);
  return name === "gpio"
    ? undefined
    : `it is a character device of the ${name} subsystem`;
}

/**
 * Opens a chip's device file, links followed. Only a GPIO chip is opened: what
 * was looked at is what is opened, whatever happens to the path meanwhile.
 */
export function openChipFile(
  given: string,
): { path: string; file: OwnedFd } {
  try {
    using place = openPath(given);
    if (place === undefined) throw notChip(given, NO_SUCH_FILE);
    const problem = whyNotChipFile(fdStatus(place.fd));
    if (problem !== undefined) {
      throw notChip(given, `${problem}, not a GPIO chip`);
    }
    const itself = `/proc/self/fd/${place.fd}`;
    const path = readLink(itself) ?? given;
    const file = openFile(itself, O_RDWR | O_NONBLOCK);
    return { path, file: new OwnedFd(file.release(), path) };
  } catch (error) {
    if (!isOsError(error)) throw error;
    const { errno } = error;
    const reason = `${errnoText(errno)} (${errnoCode(errno)})`;
    throw new LineError({
      chip: given,
      operation: "open",
      reason: isOsError(error, "EACCES", "EPERM")
        ? `${reason}${whoMay(given)}`
        : reason,
      cause: error,
    });
  }
}

/** Finds a file without opening it for anything; undefined if there is none. */
function openPath(path: string): OwnedFd | undefined {
  try {
    return openFile(path, O_PATH);
  } catch (error) {
    if (isOsError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function notChip(chip: string, reason: string): LineError {
  return new LineError({ chip, operation: "open", reason });
}

/** Describes the users that may open a file that this user may not. */
function whoMay(path: string): string {
  try {
    const file = fileStatus(path);
    if (file === undefined) return "";
    const mode = file.mode.toString(8).padStart(4, "0");
    return `: the file is for user ${file.uid} and group ${file.gid} (mode ${mode})`;
  } catch {
    return "";
  }
}
