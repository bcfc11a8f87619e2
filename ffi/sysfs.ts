/**
 * The file system as an interface of the kernel's: attributes of sysfs and
 * configfs, directories whose making has an effect, and whose rights this process has.
 *
 * Deno itself refuses all of that without `--allow-all`.
 *
 * @module
 */
import { EEXIST, EINTR, ENOENT, ENOTDIR } from "./errno.ts";
import { O_WRONLY, openFile } from "./files.ts";
import { cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { checkProtocolText } from "./protocol_text.ts";

const SYMBOLS = {
  /** int mkdir(const char *path, mode_t mode) */
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  /** int rmdir(const char *path) */
  rmdir: { parameters: ["buffer"], result: "i32" },
  /** uid_t geteuid(void) */
  geteuid: { parameters: [], result: "u32" },
  /** gid_t getegid(void) */
  getegid: { parameters: [], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/** Owner or group that `changeOwner()` leaves as it is. **Safety**: a constant. */
export const UNCHANGED = 0xffff_ffff;

/**
 * Writes `text` to an attribute with one `write`, as the kernel wants it.
 *
 * @throws {OsError} ENOENT if there is no such attribute, EACCES, and whatever
 * the attribute's own code answers (EINVAL, EBUSY, ENXIO, …).
 * @throws {RangeError} If the text has a control character: attributes hold one
 * line, which some drivers take apart.
 *
 * **Blocking**: as long as the kernel takes for what the attribute does.
 * **Safety**: the text is copied by the kernel.
 */
export function writeAttribute(path: string, text: string): void {
  checkText(path, text);
  using file = openFile(path, O_WRONLY);
  writeOnce(file.fd, text, path);
}

/**
 * Writes `text` to an attribute that is open already, as
 * {@linkcode writeAttribute} does.
 *
 * @throws {OsError} EBADF, and whatever the attribute's own code answers.
 * @throws {RangeError} If the text has a control character.
 *
 * **Blocking**: as long as the kernel takes for what the attribute does.
 * **Ownership**: the fd stays the caller's. **Safety**: the text is copied by
 * the kernel.
 */
export function writeOpenAttribute(fd: number, text: string): void {
  const subject = `fd ${fd}`;
  checkText(subject, text);
  writeOnce(fd, text, subject);
}

function checkText(subject: string, text: string): void {
  // A line feed at the end is part of the attribute's format.
  checkProtocolText(text.endsWith("\n") ? text.slice(0, -1) : text, subject);
}

function writeOnce(fd: number, text: string, subject: string): void {
  const bytes = new TextEncoder().encode(text);
  let written = libc().write(fd, bytes, bytes.length);
  while (written < 0) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new OsError("write", errno, subject);
    written = libc().write(fd, bytes, bytes.length);
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
 * The user id that this process has the rights of.
 *
 * **Safety**: asks only.
 */
export function effectiveUserId(): number {
  return symbols().geteuid();
}

/**
 * The group id that this process has the rights of.
 *
 * **Safety**: asks only.
 */
export function effectiveGroupId(): number {
  return symbols().getegid();
}
