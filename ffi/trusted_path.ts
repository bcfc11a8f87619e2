/**
 * Paths on which this process acts with its own rights, which other users may
 * lack: a directory is opened once, without following links of other users, and
 * everything else happens inside what is open.
 *
 * @module
 */
import { EINTR, EISDIR, ELOOP, ENOTDIR } from "./errno.ts";
import {
  changeMode,
  makeDirectoryAt,
  moveAt,
  openAt,
  readOpenLink,
  unlinkAt,
} from "./directory.ts";
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  openFile,
} from "./files.ts";
import { fdStatus, type FileStatus, statusAt } from "./file_status.ts";
import { lastErrno, libc } from "./libc.ts";
import { isOsError, OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { effectiveGroupId, effectiveUserId } from "./sysfs.ts";

/** As many as the kernel follows. */
const MAX_LINKS = 40;
const STICKY = 0o1000;
const WRITABLE_BY_ALL = 0o002;
const WRITABLE_BY_GROUP = 0o020;

/**
 * A path that leads through a place where another user decides what it means.
 *
 * **Safety**: plain data.
 */
export class UntrustedPathError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "UntrustedPathError";
}

/**
 * Why others than this user and root decide what is in a directory; undefined
 * if they do not.
 *
 * @param options `isStickySafe: false` says so of sticky directories, such as
 * `/tmp`, too: every user may add files there, but may not replace others'.
 *
 * **Safety**: looks only.
 */
export function writableByOthers(
  directory: FileStatus,
  options: { isStickySafe?: boolean } = {},
): string | undefined {
  const { isStickySafe = true } = options;
  const { uid, gid, mode } = directory;
  if (uid !== 0 && uid !== effectiveUserId()) return `user ${uid} owns it`;
  if (isStickySafe && (mode & STICKY) !== 0) return undefined;
  if ((mode & WRITABLE_BY_ALL) !== 0) return "every user may write to it";
  return (mode & WRITABLE_BY_GROUP) !== 0 && gid !== 0 &&
      gid !== effectiveGroupId()
    ? `group ${gid} may write to it`
    : undefined;
}

/** One directory on the way to a file, as {@linkcode walk} comes to it. */
type Visitor = (path: string, status: FileStatus) => void;

/** Opens a directory with O_PATH, each component by itself. */
function walk(path: string, visit: Visitor = () => {}): OwnedFd {
  const components = path.split("/").reverse();
  let links = 0;
  let current = openFile(
    path.startsWith("/") ? "/" : ".",
    O_PATH | O_DIRECTORY,
  );
  let here = path.startsWith("/") ? "" : ".";
  try {
    visit(here || "/", fdStatus(current.fd));
    while (components.length > 0) {
      const component = components.pop()!;
      if (component === "" || component === ".") continue;
      const next = openComponent(current, component, path);
      const status = fdStatus(next.fd);
      if (status.kind === "symbolic link") {
        using link = next;
        if (status.uid !== 0 && status.uid !== effectiveUserId()) {
          throw new UntrustedPathError(
            `Cannot use ${path}: ${here}/${component} is a symbolic link of ` +
              `user ${status.uid}, which this process does not follow with its ` +
              `own rights`,
          );
        }
        if (++links > MAX_LINKS) throw new OsError("open", ELOOP, path);
        const target = readOpenLink(link);
        components.push(...target.split("/").reverse());
        if (!target.startsWith("/")) continue;
        current.close();
        current = openFile("/", O_PATH | O_DIRECTORY);
        here = "";
        continue;
      }
      current.close();
      current = next;
      if (status.kind !== "directory") throw new OsError("open", ENOTDIR, path);
      here = `${here}/${component}`;
      visit(here, status);
    }
    return current;
  } catch (error) {
    current.close();
    throw error;
  }
}

function openComponent(
  directory: OwnedFd,
  component: string,
  path: string,
): OwnedFd {
  try {
    return openAt(directory, component, O_PATH | O_NOFOLLOW);
  } catch (error) {
    // Errors are about what was asked for as a whole.
    if (!isOsError(error)) throw error;
    throw new OsError("open", error.errno, path);
  }
}

/**
 * Opens a directory with O_PATH. Links of root and of this user are followed,
 * those of other users are not.
 *
 * @throws {UntrustedPathError} If a link of another user is on the way.
 * @throws {OsError} ENOENT, ENOTDIR, EACCES, ELOOP.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd; races with changes on
 * the way lead to a directory that was there, by links of trusted users only.
 */
export function openDirectory(path: string): OwnedFd {
  return walk(path);
}

/**
 * The directories on the way to a file in which others than root and this user
 * decide what the file is, each with the reason.
 *
 * @throws {UntrustedPathError} If a link of another user is on the way.
 * @throws {OsError} ENOENT, ENOTDIR, EACCES, ELOOP.
 *
 * **Safety**: looks only.
 */
export function untrustedDirectories(
  path: string,
): { path: string; reason: string }[] {
  const found: { path: string; reason: string }[] = [];
  walk(splitPath(path).directory, (path, status) => {
    const reason = writableByOthers(status);
    if (reason !== undefined) found.push({ path, reason });
  }).close();
  return found;
}

/**
 * A file's directory, and its name there.
 *
 * **Safety**: text only.
 */
export function splitPath(path: string): { directory: string; name: string } {
  const slash = path.lastIndexOf("/");
  return {
    directory: slash < 0 ? "." : path.slice(0, slash) || "/",
    name: path.slice(slash + 1),
  };
}

/**
 * A name that no file has, hidden from listings.
 *
 * **Safety**: random text.
 */
export function hiddenName(): string {
  const random = crypto.getRandomValues(new BigUint64Array(1))[0]!;
  return `.gpioagg-${random.toString(16).padStart(16, "0")}`;
}

/**
 * Makes a directory that only this user may enter, inside `parent`, and opens
 * it.
 *
 * @returns The directory and its name; the caller removes it.
 * @throws {OsError} EACCES, EROFS, …
 * @throws {UntrustedPathError} If another user replaced it in the same moment.
 *
 * **Ownership**: the caller's. **Safety**: what is made in it by its fd can be
 * reached by no other user, wherever the directory is moved.
 */
export function makePrivateDirectory(
  parent: OwnedFd,
): { directory: OwnedFd; name: string } {
  const name = hiddenName();
  makeDirectoryAt(parent, name, 0o700);
  const directory = openAt(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  try {
    const { uid, mode } = fdStatus(directory.fd);
    if (uid === effectiveUserId() && (mode & 0o077) === 0) {
      // A umask may have taken the owner's own rights.
      if ((mode & 0o700) !== 0o700) changeMode(directory, 0o700);
      return { directory, name };
    }
    throw new UntrustedPathError(
      `Cannot use ${parent.what}: another user replaces files there`,
    );
  } catch (error) {
    directory.close();
    throw error;
  }
}

/**
 * Removes the file of this name if it is still the one that was meant; does
 * nothing if it is another one, or gone.
 *
 * @param identity Result of {@linkcode FileStatus.identity}.
 * @returns Whether it was removed.
 * @throws {OsError} EACCES, EROFS, …
 *
 * **Safety**: a file that comes to this name meanwhile keeps it.
 */
export function removeExactly(
  directory: OwnedFd,
  name: string,
  identity: string,
): boolean {
  if (statusAt(directory, name)?.identity !== identity) return false;
  const aside = hiddenName();
  try {
    moveAt(directory, name, directory, aside);
  } catch (error) {
    if (isOsError(error, "ENOENT")) return false;
    throw error;
  }
  const isIt = statusAt(directory, aside)?.identity === identity;
  // Back to its place, unless that is taken: then it has no owner any more.
  if (isIt || !moveAt(directory, aside, directory, name)) {
    unlinkAt(directory, aside);
  }
  return isIt;
}

/**
 * Opens a regular file of this user's or root's in an open directory; undefined
 * if there is none, or what is there is something else: a link, a FIFO that
 * would wait, a file that another user has planted, a file whose lease (of
 * fcntl) a process has and would have to give up first.
 *
 * @param flags O_RDONLY and the like.
 * @throws {OsError} EACCES, …
 *
 * **Ownership**: the caller's. **Safety**: a plain fd of the very file that was
 * looked at.
 */
export function openRegularAt(
  directory: OwnedFd,
  name: string,
  flags: number,
): OwnedFd | undefined {
  let place: OwnedFd;
  try {
    place = openAt(directory, name, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isOsError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
  using file = place;
  const { kind, uid } = fdStatus(file.fd);
  if (kind !== "regular file" || uid !== 0 && uid !== effectiveUserId()) {
    return undefined;
  }
  try {
    // The holder of a lease could keep this waiting for lease-break-time (45 s).
    return reopen(file, flags | O_NONBLOCK, file.what);
  } catch (error) {
    if (isOsError(error, "EAGAIN")) return undefined;
    throw error;
  }
}

/** Opens the very file that was looked at; messages have the name `what`. */
function reopen(file: OwnedFd, flags: number, what: string): OwnedFd {
  try {
    const opened = openFile(`/proc/self/fd/${file.fd}`, flags);
    return new OwnedFd(opened.release(), what);
  } catch (error) {
    if (!isOsError(error)) throw error;
    throw new OsError(error.syscall, error.errno, what);
  }
}

/**
 * Opens a file to write to, made if it is not there, for the long run: what is
 * opened is a regular file, not a link's target that another user chose.
 *
 * @param flags O_WRONLY, and O_APPEND or O_TRUNC.
 * @param options `mode`: permission bits of a file that is made, whatever the
 * umask is. `kinds`: other kinds of files that will do.
 * @throws {UntrustedPathError} If a link of another user is on the way, or the
 * file is of another kind.
 * @throws {OsError} ENOENT, EACCES, …
 *
 * **Ownership**: the caller's. **Blocking**: a FIFO waits for a reader, where
 * `kinds` has it. **Safety**: a plain fd.
 */
export function openOutput(
  path: string,
  flags: number,
  options: { mode: number; kinds?: readonly FileStatus["kind"][] },
): OwnedFd {
  let whole = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    const { directory: directoryPath, name } = splitPath(whole);
    if (name === "" || name === "." || name === "..") {
      throw new OsError("open", EISDIR, path);
    }
    using directory = walk(directoryPath);
    let there: OwnedFd;
    try {
      there = openAt(directory, name, O_PATH | O_NOFOLLOW);
    } catch (error) {
      if (!isOsError(error, "ENOENT")) throw error;
      const made = makeFile(directory, name, flags, options.mode);
      if (made !== undefined) return made;
      continue;
    }
    using file = there;
    const { kind, uid } = fdStatus(file.fd);
    if (kind === "symbolic link") {
      if (uid !== 0 && uid !== effectiveUserId()) {
        throw new UntrustedPathError(
          `Cannot write to ${path}: ${whole} is a symbolic link of user ${uid}`,
        );
      }
      const target = readOpenLink(file);
      whole = target.startsWith("/") ? target : `${directoryPath}/${target}`;
      continue;
    }
    if (kind === "directory") throw new OsError("open", EISDIR, path);
    if (kind !== "regular file" && options.kinds?.includes(kind) !== true) {
      throw new UntrustedPathError(
        `Cannot write to ${path}: it is a ${kind}, not a regular file`,
      );
    }
    // The very file that was looked at.
    return reopen(file, flags, path);
  }
  throw new OsError("open", ELOOP, path);
}

/**
 * Makes a file with just this mode, whatever the umask is; undefined if the name
 * is taken by now.
 *
 * @param flags O_WRONLY and the like.
 * @throws {OsError} EACCES, ENOSPC, …
 *
 * **Ownership**: the caller's. **Safety**: a plain fd; no link is followed.
 */
export function makeFile(
  directory: OwnedFd,
  name: string,
  flags: number,
  mode: number,
): OwnedFd | undefined {
  let made: OwnedFd;
  try {
    made = openAt(
      directory,
      name,
      flags | O_CREAT | O_EXCL | O_NOFOLLOW,
      // Never wider than it is to be.
      mode,
    );
  } catch (error) {
    if (isOsError(error, "EEXIST")) return undefined;
    throw error;
  }
  // What a umask took; a file system without modes has none to set.
  libc().fchmod(made.fd, mode);
  return made;
}

/**
 * Writes all bytes to an open file.
 *
 * @throws {OsError} ENOSPC, EAGAIN (a nonblocking file that is full), EPIPE, …
 *
 * **Blocking**: as the file is. **Safety**: the bytes are copied by the kernel.
 */
export function writeWhole(file: OwnedFd, bytes: Uint8Array): void {
  const { write } = libc();
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done) as Uint8Array<ArrayBuffer>;
    const count = write(file.fd, rest, rest.length);
    if (count >= 0) {
      done += count;
      continue;
    }
    const errno = lastErrno();
    if (errno !== EINTR) throw new OsError("write", errno, file.what);
  }
}
