/**
 * Is this file a GPIO chip's, and if not, what is it?
 *
 * @module
 */
import { errnoCode, errnoText } from "../../ffi/errno.ts";
import {
  fileStatus,
  O_NONBLOCK,
  O_RDWR,
  openFile,
  readLink,
  realPath,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { LineError } from "./errors.ts";

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * What a path leads to that is no GPIO chip; undefined if it is one. Looks only.
 *
 * @throws {OsError} If it may not be looked at.
 */
export function whyNotChip(path: string): string | undefined {
  const file = fileStatus(path);
  if (file === undefined) return "there is no such file";
  if (file.kind !== "character device") return `it is a ${file.kind}`;
  const node = `/sys/dev/char/${file.major}:${file.minor}`;
  const subsystem = readLink(`${node}/subsystem`);
  if (subsystem === undefined) {
    // Without sysfs nobody can tell but the device itself.
    return fileStatus("/sys/dev/char") === undefined
      ? undefined
      : `it is character device ${file.major}:${file.minor}, which belongs to no subsystem`;
  }
  const name = baseName(subsystem);
  return name === "gpio"
    ? undefined
    : `it is a character device of the ${name} subsystem`;
}

/** Opens a chip's device file, links followed. */
export function openChipFile(
  given: string,
): { path: string; file: OwnedFd } {
  try {
    const problem = whyNotChip(given);
    if (problem !== undefined) {
      throw new LineError({
        chip: given,
        operation: "open",
        reason: fileStatus(given) === undefined
          ? problem
          : `${problem}, not a GPIO chip`,
      });
    }
    const path = realPath(given) ?? given;
    return { path, file: openFile(path, O_RDWR | O_NONBLOCK) };
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

/** Who may open a file that this user may not. */
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
