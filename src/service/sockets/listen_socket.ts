/**
 * A listening unix socket at a path for a service: a file left by a dead
 * process is replaced, one in use is an error, and the file is removed with its
 * owner.
 *
 * The directory may be another user's, such as a VMM's. Therefore no path is
 * used twice: the socket is made in a private directory beside its final path,
 * gets its owner and mode there, and is then moved into place.
 *
 * @module
 */
import {
  changeMode,
  changeOwner,
  moveAt,
  openAt,
  unlinkAt,
} from "../../../ffi/directory.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { O_NOFOLLOW, O_PATH } from "../../../ffi/files.ts";
import { fdStatus, fileStatus } from "../../../ffi/file_status.ts";
import { isOsError, OsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { UNCHANGED } from "../../../ffi/sysfs.ts";
import {
  makePrivateDirectory,
  openDirectory,
  removeExactly,
  splitPath,
  UntrustedPathError,
} from "../../../ffi/trusted_path.ts";
import {
  checkSocketPath,
  connectUnix,
  listenUnix,
} from "../../../ffi/unix_socket.ts";

/** Owner and mode of a socket file. */
interface SocketAccess {
  readonly mode: number;
  /** User id, if not this process's. */
  readonly uid?: number | undefined;
  /** Group id, if not the default of new files there. */
  readonly gid?: number | undefined;
  /** Connections that wait to be accepted, at most. */
  readonly backlog?: number | undefined;
}

/** Number of attempts at a path that other processes fill at the same time. */
const MAX_TRIES = 8;
/** The longest name that a socket is bound by: `ss` shows it. */
const MAX_BOUND_NAME = 64;

/** The listening socket and its file. */
export class ListenSocket implements Disposable {
  /** Those of this isolate that listen. */
  static readonly #all = new Set<ListenSocket>();
  /** **Ownership**: this object's; a borrower may close it early. */
  readonly listener: OwnedFd;
  readonly path: string;
  /**
   * Distinguishes the file from one that another process has put there since.
   */
  readonly #identity: string;
  #hasFile = true;

  private constructor(listener: OwnedFd, path: string, identity: string) {
    this.listener = listener;
    this.path = path;
    this.#identity = identity;
    ListenSocket.#all.add(this);
  }

  /**
   * Listens at `path`.
   *
   * @throws {Error} If another process serves there, `path` is another kind of
   * file, or a link of another user leads there.
   * @throws {OsError} If the directory is missing or not accessible.
   * @throws {RangeError} If the path is empty or longer than 107 bytes.
   */
  static open(path: string, access: SocketAccess): ListenSocket {
    checkSocketPath(path);
    try {
      return ListenSocket.#open(path, access);
    } catch (error) {
      if (!isOsError(error)) throw error;
      // Intermediate paths do not concern the caller.
      const cause = new OsError("bind", error.errno, path);
      throw new Error(
        `Cannot make the socket ${path}: ${explainFailure(error, path)}`,
        { cause },
      );
    }
  }

  static #open(path: string, access: SocketAccess): ListenSocket {
    const { directory, name } = splitPath(path);
    using parent = openDirectory(directory);
    const made = makePrivateDirectory(parent);
    using staging = made.directory;
    const bound = name.length > MAX_BOUND_NAME ? "socket" : name;
    using listener = new DisposableStack();
    try {
      const socket = listener.use(
        listenUnix(
          `/proc/self/fd/${staging.fd}/${bound}`,
          access.backlog === undefined ? {} : { backlog: access.backlog },
        ),
      );
      const identity = grant(staging, bound, access);
      putInPlace(staging, bound, parent, name, path);
      listener.move();
      return new ListenSocket(socket, path, identity);
    } catch (error) {
      unlinkAt(staging, bound);
      throw error;
    } finally {
      clearAway(parent, made.name);
    }
  }

  /**
   * Has all of this isolate listen no more, and leaves their files: the next
   * process replaces them.
   */
  static leaveAll(): void {
    for (const socket of ListenSocket.#all) {
      socket.#hasFile = false;
      socket[Symbol.dispose]();
    }
  }

  /** Stops listening and removes the file, if it is still this socket's. */
  [Symbol.dispose](): void {
    ListenSocket.#all.delete(this);
    this.listener.close();
    if (!this.#hasFile) return;
    this.#hasFile = false;
    const { directory, name } = splitPath(this.path);
    try {
      using parent = openDirectory(directory);
      removeExactly(parent, name, this.#identity);
    } catch (error) {
      // The directory is gone, or not ours any more: the file that is left is a
      // dead socket, which the next process replaces.
      if (!isOsError(error) && !(error instanceof UntrustedPathError)) {
        throw error;
      }
    }
  }
}

/** Sets owner and mode of a socket that no other process can reach yet. */
function grant(staging: OwnedFd, name: string, access: SocketAccess): string {
  const { mode, uid = UNCHANGED, gid = UNCHANGED } = access;
  using file = openAt(staging, name, O_PATH | O_NOFOLLOW);
  // The mode first: for another user's file it needs more rights.
  changeMode(file, mode);
  if (uid !== UNCHANGED || gid !== UNCHANGED) changeOwner(file, uid, gid);
  return fdStatus(file.fd).identity;
}

/** Moves a finished socket to its name; a dead one there is replaced. */
function putInPlace(
  staging: OwnedFd,
  bound: string,
  parent: OwnedFd,
  name: string,
  path: string,
): void {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (moveAt(staging, bound, parent, name)) return;
    const dead = deadSocketAt(parent, name, path);
    if (dead !== undefined) removeExactly(parent, name, dead);
  }
  throw new Error(
    `Cannot listen at ${path}: other processes keep creating files there`,
  );
}

/**
 * Returns the identity of the dead socket at a path; undefined if there is
 * none.
 *
 * @throws {Error} If there is another kind of file, or a socket in use.
 */
function deadSocketAt(
  parent: OwnedFd,
  name: string,
  path: string,
): string | undefined {
  let file: OwnedFd;
  try {
    file = openAt(parent, name, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isOsError(error, "ENOENT")) return undefined;
    throw error;
  }
  using there = file;
  const { kind, identity } = fdStatus(there.fd);
  if (kind !== "socket") {
    throw new Error(
      `Cannot listen at ${path}: the file there is not a socket`,
    );
  }
  try {
    // The same file that was checked.
    isServed(`/proc/self/fd/${there.fd}`);
  } catch (error) {
    if (isOsError(error, "ECONNREFUSED")) return identity;
    throw new Error(`Cannot listen at ${path}: ${String(error)}`, {
      cause: error,
    });
  }
  throw new Error(
    `Cannot listen at ${path}: another process serves this socket; ` +
      `end it or choose another path`,
  );
}

/** Removes the private directory, if other processes left it empty. */
function clearAway(parent: OwnedFd, name: string): void {
  try {
    unlinkAt(parent, name, { isDirectory: true });
  } catch (error) {
    if (!isOsError(error)) throw error;
  }
}

/**
 * Returns true if a process listens at `path`.
 *
 * @throws {OsError} ECONNREFUSED if none does (or the file is not a socket),
 * ENOENT, EACCES, …
 */
export function isServed(path: string): boolean {
  try {
    // A client that waits in a full backlog waits for as long as the server
    // likes.
    connectUnix(path, { wait: false }).close();
  } catch (error) {
    if (!isOsError(error, "EAGAIN")) throw error;
  }
  return true;
}

function explainFailure({ errno, code }: OsError, path: string): string {
  const { directory } = splitPath(path);
  switch (code) {
    case "ENOENT":
      return fileStatus(directory) === undefined
        ? `directory ${directory} does not exist`
        : `directory ${directory} takes no sockets (${code})`;
    case "ENOTDIR":
      return `${directory} is not a directory`;
    case "EACCES":
    case "EPERM":
      return `no permission to create files in ${directory} (${code})`;
    case "EROFS":
      return `${directory} is on a read-only file system`;
    default:
      return `${errnoText(errno)} (${code})`;
  }
}
