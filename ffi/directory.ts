/**
 * Files by their name in an open directory, and owner and mode of open files:
 * what is looked at is what is acted on, whatever happens to paths meanwhile.
 *
 * @module
 */
import { EAGAIN, EEXIST, EINTR, EINVAL, ENOENT, ENOSYS } from "./errno.ts";
import { O_CLOEXEC } from "./files.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";

const SYMBOLS = {
  /** int openat(int directory, const char *path, int flags, mode_t mode); variadic */
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  /** int mkdirat(int directory, const char *path, mode_t mode) */
  mkdirat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int unlinkat(int directory, const char *path, int flags) */
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** int linkat(int from, const char *path, int to, const char *path, int flags) */
  linkat: {
    parameters: ["i32", "buffer", "i32", "buffer", "i32"],
    result: "i32",
  },
  /** int symlinkat(const char *target, int directory, const char *path) */
  symlinkat: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  /** int renameat2(int from, const char *path, int to, const char *path, unsigned flags) */
  renameat2: {
    parameters: ["i32", "buffer", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** ssize_t readlinkat(int directory, const char *path, char *buffer, size_t size) */
  readlinkat: {
    parameters: ["i32", "buffer", "buffer", "usize"],
    result: "isize",
  },
  /** int fchownat(int directory, const char *path, uid_t owner, gid_t group, int flags) */
  fchownat: {
    parameters: ["i32", "buffer", "u32", "u32", "i32"],
    result: "i32",
  },
  /** int flock(int fd, int operation) */
  flock: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  // libc() first: it makes errno known before any call can fail.
  libc();
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

const AT_EMPTY_PATH = 0x1000;
const AT_REMOVEDIR = 0x200;
const RENAME_NOREPLACE = 1;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const PATH_MAX = 4096;

const describeEntry = (directory: OwnedFd, name: string) =>
  `${directory.what === "/" ? "" : directory.what}/${name}`;

/**
 * Opens a file of a directory, always close-on-exec.
 *
 * @param flags As for {@linkcode openFile}; O_NOFOLLOW where `name` must not be
 * a link.
 * @param mode Permission bits of a file that is made (before the umask).
 * @throws {OsError} ENOENT, ELOOP for a link with O_NOFOLLOW, EACCES, …
 *
 * **Ownership**: the caller's. **Safety**: a plain fd.
 */
export function openAt(
  directory: OwnedFd,
  name: string,
  flags: number,
  mode = 0o600,
): OwnedFd {
  const path = cString(name);
  const { openat } = symbols();
  for (;;) {
    const fd = openat(directory.fd, path, flags | O_CLOEXEC, mode);
    if (fd >= 0) return new OwnedFd(fd, describeEntry(directory, name));
    const errno = lastErrno();
    if (errno !== EINTR) {
      throw new OsError("open", errno, describeEntry(directory, name));
    }
  }
}

/**
 * Makes a directory in a directory; answers false if the name is taken.
 *
 * @throws {OsError} EACCES, …
 *
 * **Safety**: follows no link.
 */
export function makeDirectoryAt(
  directory: OwnedFd,
  name: string,
  mode: number,
): boolean {
  if (symbols().mkdirat(directory.fd, cString(name), mode) === 0) return true;
  const errno = lastErrno();
  if (errno === EEXIST) return false;
  throw new OsError("mkdir", errno, describeEntry(directory, name));
}

/**
 * Makes a symbolic link in a directory.
 *
 * @throws {OsError} EEXIST if the name is taken, EACCES, …
 *
 * **Safety**: follows no link.
 */
export function makeLinkAt(
  directory: OwnedFd,
  name: string,
  target: string,
): void {
  check(
    symbols().symlinkat(cString(target), directory.fd, cString(name)),
    "symlink",
    describeEntry(directory, name),
  );
}

/**
 * Returns the target of an open symbolic link (one opened with O_PATH |
 * O_NOFOLLOW).
 *
 * @throws {OsError} ENOENT if it is not a link.
 *
 * **Safety**: looks only.
 */
export function readOpenLink(link: OwnedFd): string {
  const target = new Uint8Array(PATH_MAX);
  const length = symbols().readlinkat(
    link.fd,
    cString(""),
    target,
    BigInt(target.length),
  );
  check(Number(length), "readlink", link.what);
  return new TextDecoder().decode(target.subarray(0, Number(length)));
}

/**
 * Removes a name from a directory; does nothing if there is none.
 *
 * @param options `isDirectory`: it is an empty directory.
 * @throws {OsError} EACCES, EISDIR, ENOTEMPTY, …
 *
 * **Safety**: follows no link; what is open stays usable.
 */
export function unlinkAt(
  directory: OwnedFd,
  name: string,
  options: { isDirectory?: boolean } = {},
): void {
  const flags = options.isDirectory ? AT_REMOVEDIR : 0;
  if (symbols().unlinkat(directory.fd, cString(name), flags) === 0) return;
  const errno = lastErrno();
  if (errno === ENOENT) return;
  throw new OsError(
    options.isDirectory ? "rmdir" : "unlink",
    errno,
    describeEntry(directory, name),
  );
}

/**
 * Moves a file to another name, in the same file system, if that name is free.
 *
 * @returns Whether it was moved; false if the new name is taken.
 * @throws {OsError} ENOENT, EACCES, EXDEV, …
 *
 * **Safety**: follows no link, replaces nothing.
 */
export function moveAt(
  from: OwnedFd,
  name: string,
  to: OwnedFd,
  newName: string,
): boolean {
  const { renameat2, linkat } = symbols();
  const [source, target] = [cString(name), cString(newName)];
  let result = renameat2(from.fd, source, to.fd, target, RENAME_NOREPLACE);
  let errno = result < 0 ? lastErrno() : 0;
  if (errno === EINVAL || errno === ENOSYS) {
    // A file system without that (some network ones): a link replaces nothing
    // either.
    result = linkat(from.fd, source, to.fd, target, 0);
    errno = result < 0 ? lastErrno() : 0;
    if (result === 0) unlinkAt(from, name);
  }
  if (result === 0) return true;
  if (errno === EEXIST) return false;
  throw new OsError("rename", errno, describeEntry(to, newName));
}

/**
 * Moves a file to another name, in the same file system; what has that name is
 * replaced.
 *
 * @throws {OsError} ENOENT, EACCES, EXDEV, …
 *
 * **Safety**: follows no link.
 */
export function replaceAt(
  from: OwnedFd,
  name: string,
  to: OwnedFd,
  newName: string,
): void {
  check(
    symbols().renameat2(from.fd, cString(name), to.fd, cString(newName), 0),
    "rename",
    describeEntry(to, newName),
  );
}

/**
 * Gives an open file to another owner or group, 0xffffffff for neither; one
 * that was opened with O_PATH too.
 *
 * @throws {OsError} EPERM, …
 *
 * **Safety**: acts on the very file that is open.
 */
export function changeOwner(file: OwnedFd, uid: number, gid: number): void {
  check(
    symbols().fchownat(file.fd, cString(""), uid, gid, AT_EMPTY_PATH),
    "chown",
    file.what,
  );
}

/**
 * Sets an open file's permission bits; of one that was opened with O_PATH too.
 * (Not of an open link itself, which has none.)
 *
 * @throws {OsError} EPERM, …
 *
 * **Safety**: acts on the very file that is open.
 */
export function changeMode(file: OwnedFd, mode: number): void {
  // fchmod() takes no O_PATH fd, and fchmodat2() came with Linux 6.6.
  check(
    libc().chmod(cString(`/proc/self/fd/${file.fd}`), mode),
    "chmod",
    file.what,
  );
}

/**
 * Locks an open file, if that can be done at once; closing it lets go.
 *
 * @param options `isShared`: others may have it locked so, too.
 * @returns Whether it is locked now; false if others hold it.
 * @throws {OsError} EBADF, ENOLCK.
 *
 * **Safety**: never waits.
 */
export function tryLock(
  file: OwnedFd,
  options: { isShared?: boolean } = {},
): boolean {
  const operation = (options.isShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  const { flock } = symbols();
  for (;;) {
    if (flock(file.fd, operation) === 0) return true;
    const errno = lastErrno();
    if (errno === EAGAIN) return false;
    if (errno !== EINTR) throw new OsError("flock", errno, file.what);
  }
}
