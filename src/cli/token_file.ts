/**
 * The file of the token that browsers must show.
 *
 * @module
 */
import { fdStatus, statusAt } from "../../ffi/file_status.ts";
import { O_RDONLY, readOpenFile } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  openDirectory,
  openRegularAt,
  splitPath,
} from "../../ffi/trusted_path.ts";
import { makeFileAt } from "../../ffi/whole_file.ts";
import { ConfigError } from "../config/document/config_error.ts";

const TOKEN = /^[\w-]{16,128}$/;
const MAX_BYTES = 4096;
/** Rights by which others know the token, or decide what it is. */
const OTHERS = 0o027;

/**
 * Returns the token of a file, which is made, for this user only, if it does not
 * exist.
 *
 * @param made Token for a file that is made.
 * @throws {ConfigError} If the file holds none, or others may have it.
 * @throws {Error} If it cannot be made or read.
 */
export function tokenIn(path: string, made: string): string {
  const { directory: directoryPath, name } = splitPath(path);
  using directory = openDirectory(directoryPath);
  // Whole or not at all: one that a full disk cut short would hold no token.
  if (makeFileAt(directory, name, `${made}\n`, 0o600)) return made;
  using file = openRegularAt(directory, name, O_RDONLY);
  if (file === undefined) {
    const { kind, uid } = statusAt(directory, name) ?? {};
    throw new ConfigError(
      kind === "regular file"
        ? `belongs to user ${uid}, who may know the token`
        : `is a ${kind ?? "file that was removed"}, not a regular file`,
      { path, hint: "Name a file of your own; it is made if it is missing" },
    );
  }
  const { mode } = fdStatus(file.fd);
  if ((mode & OTHERS) !== 0) {
    throw new ConfigError("can be read or written by other users", {
      path,
      hint: "chmod 600, and write a new token into it, or remove it to have " +
        "one made",
    });
  }
  const text = readText(file);
  if (TOKEN.test(text)) return text;
  throw new ConfigError("holds no token", {
    path,
    hint: "A token is 16 to 128 letters, digits, - and _; remove the file to " +
      "have one made",
  });
}

/** Text of the file; empty if it is longer than any token. */
function readText(file: OwnedFd): string {
  try {
    return readOpenFile(file, MAX_BYTES)?.trim() ?? "";
  } catch (error) {
    if (isOsError(error, "ERANGE")) return "";
    throw error;
  }
}
