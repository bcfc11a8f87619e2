/**
 * File in which gpioagg remembers the names of this host's lines for
 * completion, since to open chips it must be started.
 *
 * @module
 */
import { isOsError } from "../../../ffi/os_error.ts";
import {
  MACHINE_RUNTIME_DIRECTORY,
  openRuntimeDirectory,
  ownRuntimeDirectory,
} from "../../../ffi/runtime_directory.ts";
import { UntrustedPathError } from "../../../ffi/trusted_path.ts";
import { replaceFileAt } from "../../../ffi/whole_file.ts";
import type { HostLine } from "./host_words.ts";

/** Name of the file, in gpioagg's runtime directory. */
export const LINES_FILE = "lines";

/** Largest file; more lines are looked at each time. **Units**: bytes. */
const MAX_BYTES = 1024 * 1024;
/** A state as the script writes it: the boot, then inodes and device files. */
const STATE = /^[\x20-\x7e]{1,65536}$/;

/**
 * Remembers lines, for this user only: others may open other chips. Where that
 * is not possible, for any reason, they are looked at each time.
 *
 * @param state Chips that were there, as the script of live words names them.
 */
export function rememberLines(
  state: string,
  lines: readonly HostLine[],
): void {
  const text = [
    state,
    ...lines.map(({ chip, offset, name }) => `${chip}\t${offset}\t${name}`),
    "",
  ].join("\n");
  if (!STATE.test(state) || text.length > MAX_BYTES) return;
  const { path: own = MACHINE_RUNTIME_DIRECTORY } = ownRuntimeDirectory();
  try {
    using directory = openRuntimeDirectory(`${own}/gpioagg`, { make: true })!;
    replaceFileAt(directory, LINES_FILE, text, 0o600);
  } catch (error) {
    // No permission, no space, or another user's directory.
    if (!isOsError(error) && !(error instanceof UntrustedPathError)) {
      throw error;
    }
  }
}
