/**
 * Runtime directories: where running programs of a machine or a user find each
 * other. The one place that says which of them may be used.
 *
 * @module
 */
import { makeDirectoryAt, openAt } from "./directory.ts";
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from "./files.ts";
import { fdStatus } from "./file_status.ts";
import { isOsError } from "./os_error.ts";
import type { OwnedFd } from "./owned_fd.ts";
import {
  openDirectory,
  splitPath,
  UntrustedPathError,
  writableByOthers,
} from "./trusted_path.ts";

/** The machine's. **Safety**: a constant. */
export const MACHINE_RUNTIME_DIRECTORY = "/run";

/** The user's, as the environment has it, or why that is not used. */
interface OwnRuntimeDirectory {
  /** Absent if the environment names none, or one that is not safe. */
  readonly path?: string;
  /** Why the one of the environment is not used. */
  readonly problem?: string;
}

/**
 * The user's runtime directory: `$XDG_RUNTIME_DIR`, if it is this user's or
 * root's and no other user may replace what is in it.
 *
 * **Safety**: looks only. Without permission to read the variable there is
 * none.
 */
export function ownRuntimeDirectory(): OwnRuntimeDirectory {
  const path = environmentDirectory();
  if (path === undefined) return {};
  const problem = findProblem(path);
  return problem === undefined
    ? { path }
    : { problem: `$XDG_RUNTIME_DIR (${path}) is not used: ${problem}` };
}

function environmentDirectory(): string | undefined {
  try {
    return Deno.env.get("XDG_RUNTIME_DIR") || undefined;
  } catch (error) {
    // A program that uses the library without permission to read it.
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    return undefined;
  }
}

function findProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return "it is not an absolute path";
  try {
    using directory = openDirectory(path);
    return writableByOthers(fdStatus(directory.fd));
  } catch (error) {
    // One that is not there has no owner: a search there finds nothing.
    if (isOsError(error)) return undefined;
    if (error instanceof UntrustedPathError) return error.message;
    throw error;
  }
}

/**
 * Opens a directory inside a runtime directory, with O_PATH: one of this user's
 * or root's that no other user may write to, and no link.
 *
 * @param options `make`: make it, and those above it, where they are missing.
 * @returns undefined if it is not there and is not to be made.
 * @throws {UntrustedPathError} If another user owns it, may write to it, or may
 * replace it.
 * @throws {OsError} EACCES, EROFS, …
 *
 * **Ownership**: the caller's. **Safety**: what is done in it by the fd is done
 * where no other user can do anything.
 */
export function openRuntimeDirectory(
  path: string,
  options: { make?: boolean } = {},
): OwnedFd | undefined {
  const { directory: parentPath, name } = splitPath(path);
  using parent = openParent(parentPath, options);
  if (parent === undefined) return undefined;
  refuseUntrusted(parentPath, writableByOthers(fdStatus(parent.fd)));
  if (options.make) makeDirectoryAt(parent, name, 0o755);
  let directory: OwnedFd;
  try {
    directory = openAt(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (isOsError(error, "ENOENT")) return undefined;
    if (isOsError(error, "ELOOP", "ENOTDIR")) {
      refuseUntrusted(path, "it is not a directory");
    }
    throw error;
  }
  try {
    refuseUntrusted(
      path,
      writableByOthers(fdStatus(directory.fd), { isStickySafe: false }),
    );
    return directory;
  } catch (error) {
    directory.close();
    throw error;
  }
}

function openParent(
  path: string,
  options: { make?: boolean },
): OwnedFd | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if (!isOsError(error, "ENOENT")) throw error;
    if (!options.make || path === "/" || path === ".") return undefined;
    return openRuntimeDirectory(path, options);
  }
}

function refuseUntrusted(path: string, reason: string | undefined): void {
  if (reason === undefined) return;
  throw new UntrustedPathError(
    `Cannot use the directory ${path}: ${reason}, and what is in it is acted on ` +
      `with this process's rights`,
  );
}
