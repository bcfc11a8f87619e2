/**
 * Whether a maker lives, as seen from everywhere.
 *
 * @module
 */

/**
 * A lock on a file that its maker holds for as long as it lives. The kernel
 * lets go of it when the process ends, however it ends; and unlike a process's
 * number it means the same in every PID namespace (containers that share `/run`).
 *
 * **Ownership**: disposing lets go of the lock, as if the maker had ended.
 */
export class LifeMark implements Disposable {
  readonly #file: Deno.FsFile;
  #isOver = false;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Makes the file, which nobody else knows yet, and locks it. It is its
   * owner's alone: who may open a file may lock it, and would seem to live.
   */
  static set(path: string): LifeMark {
    const file = Deno.openSync(path, {
      write: true,
      createNew: true,
      mode: 0o600,
    });
    file.lockSync(true);
    return new LifeMark(file);
  }

  /**
   * Whether somebody holds the lock of that file; undefined if that cannot be
   * told: there is no such file, or it may not be opened.
   */
  static isHeld(path: string): boolean | undefined {
    try {
      using file = Deno.openSync(path, { read: true });
      // Shared: two that look at the same time must not see each other.
      return !file.tryLockSync(false);
    } catch (error) {
      if (
        error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied
      ) return undefined;
      throw error;
    }
  }

  /** Lets go of the lock. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#file.close();
  }
}
