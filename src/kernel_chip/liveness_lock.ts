/**
 * Proof that a maker lives, which every PID namespace can check.
 *
 * @module
 */
import { openAt, tryLock } from "../../ffi/directory.ts";
import {
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { openRegularAt } from "../../ffi/trusted_path.ts";

/**
 * A lock on a file that its maker holds for as long as it lives. The kernel
 * releases it when the process ends, for any reason; unlike a process id it
 * means the same in every PID namespace (containers that share `/run`).
 *
 * **Ownership**: disposing releases the lock, as if the maker had ended.
 */
export class LivenessLock implements Disposable {
  readonly #file: OwnedFd;

  private constructor(file: OwnedFd) {
    this.#file = file;
  }

  /**
   * Makes the file, which no other process knows yet, and locks it. Only its
   * owner may open it: a process that can open a file can lock it, and would
   * seem to be the maker.
   *
   * @throws {Error} If another process has locked it at the same time.
   */
  static set(directory: OwnedFd, name: string): LivenessLock {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    const file = openAt(directory, name, flags, 0o600);
    if (tryLock(file)) return new LivenessLock(file);
    file.close();
    throw new Error(`Cannot lock ${file.what}: another process has locked it`);
  }

  /**
   * Returns true if a process holds the lock of that file; undefined if that is
   * unknown: there is no such file, it is not a regular one, or it cannot be
   * opened.
   */
  static isHeld(directory: OwnedFd, name: string): boolean | undefined {
    try {
      using file = openRegularAt(directory, name, O_RDONLY);
      // Shared: two simultaneous checks must not see each other.
      return file && !tryLock(file, { isShared: true });
    } catch (error) {
      if (isOsError(error, "EACCES", "EPERM")) return undefined;
      throw error;
    }
  }

  /** Releases the lock. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}
