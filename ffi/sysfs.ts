/**
 * The file system as an interface of the kernel's: attributes of sysfs and
 * configfs, directories whose making has an effect, owners of device nodes.
 *
 * Deno itself refuses all of that without `--allow-all`.
 *
 * @module
 */
import { EEXIST, EINTR, ENOENT, ENOTDIR } from "./errno.ts";
import { O_WRONLY, openFile } from "./files.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

const SYMBOLS = {
  /** int mkdir(const char *path, mode_t mode) */
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  /** int rmdir(const char *path) */
  rmdir: { parameters: ["buffer"], result: "i32" },
  /** int chown(const char *path, uid_t owner, gid_t group) */
  chown: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  /** uid_t geteuid(void) */
  geteuid: { parameters: [], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/** Owner or group that {@linkcode changeOwner} leaves as it is. **Safety**: a constant. */
export const UNCHANGED = 0xffff_ffff;

/**
 * Writes `text` to an attribute with one `write`, as the kernel wants it.
 *
 * @throws {OsError} ENOENT if there is no such attribute, EACCES, and whatever
 * the attribute's own code answers (EINVAL, EBUSY, ENXIO, …).
 *
 * **Blocking**: as long as the kernel takes for what the attribute does.
 * **Safety**: the text is copied by the kernel.
 */
export function writeAttribute(path: string, text: string): void {
  using file = openFile(path, O_WRONLY);
  const bytes = new TextEncoder().encode(text);
  let written = libc().write(file.fd, bytes, bytes.length);
  while (written < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new OsError("write", errno, path);
    written = libc().write(file.fd, bytes, bytes.length);
  }
}

/**
 * Makes a directory; answers false if there is one already.
 *
 * @throws {OsError} EACCES, ENOENT, …; in configfs whatever the subsystem says.
 *
 * **Safety**: in configfs, making a directory makes the object of that name.
 */
export function makeDirectory(path: string, mode = 0o755): boolean {
  if (symbols().mkdir(cString(path), mode) === 0) return true;
  const errno = lastErrno();
  if (errno === EEXIST) return false;
  throw new OsError("mkdir", errno, path);
}

/**
 * Removes an empty directory; does nothing if there is none.
 *
 * @throws {OsError} ENOTEMPTY, EBUSY, EACCES, …
 *
 * **Safety**: in configfs, removing a directory ends the object of that name.
 */
export function removeDirectory(path: string): void {
  if (symbols().rmdir(cString(path)) === 0) return;
  const errno = lastErrno();
  if (errno === ENOENT || errno === ENOTDIR) return;
  throw new OsError("rmdir", errno, path);
}

/**
 * Gives a file to another owner or group ({@linkcode UNCHANGED} for neither).
 *
 * @throws {OsError} EPERM, ENOENT, …
 *
 * **Safety**: follows links.
 */
export function changeOwner(path: string, uid: number, gid: number): void {
  check(symbols().chown(cString(path), uid, gid), "chown", path);
}

/**
 * Sets a file's permission bits.
 *
 * @throws {OsError} EPERM, ENOENT, …
 *
 * **Safety**: follows links.
 */
export function changeMode(path: string, mode: number): void {
  check(libc().chmod(cString(path), mode), "chmod", path);
}

/**
 * The user id that this process has the rights of.
 *
 * **Safety**: asks only.
 */
export function effectiveUserId(): number {
  return symbols().geteuid();
}
