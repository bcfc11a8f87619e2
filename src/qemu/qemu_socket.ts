/**
 * Connects to a socket of QEMU with the rights of this process, which QEMU's
 * user, or the API client that named the path, may lack.
 *
 * The socket is opened with O_PATH, and that open file is connected to: what
 * was checked is what is used.
 *
 * @module
 */
import { openAt, readOpenLink } from "../../ffi/directory.ts";
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../ffi/files.ts";
import { fdStatus, fileStatus } from "../../ffi/file_status.ts";
import { isOsError, OsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import {
  openDirectory,
  splitPath,
  UntrustedPathError,
} from "../../ffi/trusted_path.ts";
import { connectUnix, peerCredentials } from "../../ffi/unix_socket.ts";
import { findAllowedDirectory } from "../config/values/allowed_directory.ts";
import { QemuError } from "./errors.ts";

const STICKY = 0o1000;
const WRITABLE_BY_ALL = 0o002;
/** As many links as the kernel follows. */
const MAX_LINKS = 40;

/**
 * Connects without waiting to a socket that does not accept fds.
 *
 * Links of root and of this user are followed, those of other users are not,
 * and below the directories of `allowed` none is. There the listener must
 * belong to root, to this user, or to the owner of the socket's directory.
 *
 * @param allowed Directories that the path must be in, if an API client named
 * it; absent: an administrator did.
 * @throws {QemuError} If the path leads to a file that must not be used.
 * @throws {OsError} ENOENT, ECONNREFUSED, EAGAIN, EACCES, … of `path`.
 *
 * **Ownership**: the caller's.
 */
export function connectToQemu(
  path: string,
  allowed?: readonly string[],
): OwnedFd {
  try {
    return allowed === undefined
      ? connectByPath(path)
      : connectWithin(path, allowed);
  } catch (error) {
    if (error instanceof UntrustedPathError) {
      throw new QemuError(error.message, { cause: error });
    }
    if (!isOsError(error)) throw error;
    // About the whole path, whichever part of it the kernel refused.
    throw new OsError(error.syscall, error.errno, path);
  }
}

function connectByPath(path: string): OwnedFd {
  let whole = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    const { directory: directoryPath, name } = splitPath(whole);
    using directory = openDirectory(directoryPath);
    using file = openAt(directory, name, O_PATH | O_NOFOLLOW);
    const { kind, uid } = fdStatus(file.fd);
    if (kind !== "symbolic link") return connectTo(path, file);
    if (uid !== 0 && uid !== effectiveUserId()) {
      throw new UntrustedPathError(
        `Cannot use ${path}: ${whole} is a symbolic link of user ${uid}, which ` +
          `this process does not follow with its own rights`,
      );
    }
    const target = readOpenLink(file);
    whole = target.startsWith("/") ? target : `${directoryPath}/${target}`;
  }
  throw new UntrustedPathError(`Cannot use ${path}: too many symbolic links`);
}

function connectWithin(path: string, allowed: readonly string[]): OwnedFd {
  const found = findAllowedDirectory(path, allowed);
  if (found === undefined) {
    throw new QemuError(
      `Cannot use ${path}: it is not in a directory that API clients may use`,
    );
  }
  using stack = new DisposableStack();
  let directory = stack.use(openDirectory(found.directory));
  const names = [...found.components];
  const name = names.pop()!;
  for (const component of names) {
    // ENOTDIR for a link, whatever it points to.
    directory = stack.use(
      openAt(directory, component, O_PATH | O_NOFOLLOW | O_DIRECTORY),
    );
  }
  const file = stack.use(openAt(directory, name, O_PATH | O_NOFOLLOW));
  const connection = connectTo(path, file);
  const { uid } = peerCredentials(connection.fd);
  const owner = fdStatus(directory.fd).uid;
  if (uid === 0 || uid === effectiveUserId() || uid === owner) {
    return connection;
  }
  connection.close();
  throw new QemuError(
    `Cannot use ${path}: user ${uid} listens there, in a directory of user ` +
      `${owner}`,
  );
}

/** Connects to a socket that is open with O_PATH. */
function connectTo(path: string, file: OwnedFd): OwnedFd {
  const { kind, links } = fdStatus(file.fd);
  if (kind !== "socket") {
    throw new QemuError(`Cannot use ${path}: it is a ${kind}, not a socket`);
  }
  // A hard link may be to a socket that only root may use.
  if (links > 1) {
    throw new QemuError(
      `Cannot use ${path}: this socket has ${links} names (hard links)`,
    );
  }
  return connectUnix(`/proc/self/fd/${file.fd}`, {
    wait: false,
    descriptors: false,
  });
}

/**
 * Returns the directory of a socket if every user may put files there, but not
 * replace those of others (a sticky directory, such as `/tmp`): another user's
 * socket may be there before QEMU's.
 */
export function findStickyDirectory(path: string): string | undefined {
  const { directory } = splitPath(path);
  try {
    const mode = fileStatus(directory)?.mode ?? 0;
    const isOpen = (mode & WRITABLE_BY_ALL) !== 0 && (mode & STICKY) !== 0;
    return isOpen ? directory : undefined;
  } catch (error) {
    // An unreadable directory is not open to all users.
    if (!isOsError(error)) throw error;
    return undefined;
  }
}
