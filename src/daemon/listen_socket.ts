/**
 * A listening unix socket at a path, as a service wants it: a file left by a
 * dead process is replaced, one in use is an error, and the file goes away
 * with its owner.
 *
 * @module
 */
import { unlink } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { connectUnix, listenUnix } from "../../ffi/unix_socket.ts";

/** A listening socket and the file it stands at. */
export class ListenSocket implements Disposable {
  /** **Ownership**: this object's; whoever it is lent to may close it early. */
  readonly listener: OwnedFd;
  readonly path: string;
  #hasFile = true;

  private constructor(listener: OwnedFd, path: string) {
    this.listener = listener;
    this.path = path;
  }

  /**
   * Listens at `path`.
   *
   * @param mode Permission bits of the socket file.
   * @throws {Error} If another process serves there, or `path` is some other
   * file. @throws {OsError} If the directory is missing or closed to us.
   */
  static open(path: string, mode: number): ListenSocket {
    try {
      return new ListenSocket(listenUnix(path, { mode }), path);
    } catch (error) {
      if (!isOsError(error, "EADDRINUSE")) throw error;
      replaceable(path, error);
    }
    unlink(path);
    return new ListenSocket(listenUnix(path, { mode }), path);
  }

  /** Stops listening and removes the file. */
  [Symbol.dispose](): void {
    this.listener.close();
    // Once only: another process may serve at this path by then.
    if (this.#hasFile) unlink(this.path);
    this.#hasFile = false;
  }
}

/**
 * Whether somebody listens at `path`.
 *
 * @throws {OsError} ECONNREFUSED if nobody does (or the file is no socket),
 * ENOENT, EACCES, …
 */
export function isServed(path: string): boolean {
  try {
    // Whoever waits in a full backlog waits for as long as its owner likes.
    connectUnix(path, { wait: false }).close();
  } catch (error) {
    if (!isOsError(error, "EAGAIN")) throw error;
  }
  return true;
}

/** Throws unless the file at `path` is a socket that nobody serves. */
function replaceable(path: string, cause: unknown): void {
  try {
    isServed(path);
  } catch (error) {
    // ECONNREFUSED is said of plain files too, so the file type is asked.
    if (isOsError(error, "ECONNREFUSED") && Deno.lstatSync(path).isSocket) {
      return;
    }
    if (isOsError(error, "ENOENT")) return;
    throw new Error(
      isOsError(error, "ECONNREFUSED")
        ? `Cannot listen at ${path}: there is a file that is no socket`
        : `Cannot listen at ${path}: ${String(error)}`,
      { cause: error },
    );
  }
  throw new Error(
    `Cannot listen at ${path}: another process serves this socket; ` +
      `end it or choose another path`,
    { cause },
  );
}
