/**
 * File descriptors with exactly one owner.
 *
 * @module
 */
import { EBADF } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

let reportLeak: (fd: number, what: string) => void = () => {};

/**
 * Sets the receiver of fds that were dropped without being closed; at first
 * none does: a library does not write to its program's standard error. A leaked
 * fd is reported, not closed: its number may be another file's by then.
 *
 * **Safety**: the reporter runs some time after a garbage collection, between
 * tasks.
 */
export function onLeakedFd(reporter: (fd: number, what: string) => void): void {
  reportLeak = reporter;
}

const leaks = new FinalizationRegistry<readonly [fd: number, what: string]>(
  ([fd, what]) => reportLeak(fd, what),
);

/**
 * A file descriptor with an owner: closed once, by its owner.
 *
 * **Ownership**: the holder of the object closes it, with `using`,
 * {@linkcode OwnedFd.close}, or hands the number on with
 * {@linkcode OwnedFd.release}. **Safety**: the number is valid exactly as long
 * as {@linkcode OwnedFd.closed} is false; do not keep it beyond.
 */
export class OwnedFd implements Disposable {
  #fd: number;
  readonly #what: string;

  /**
   * Takes ownership of an open fd; `what` names it in messages.
   *
   * @throws {RangeError} If `fd` is not a file descriptor's number.
   */
  constructor(fd: number, what: string) {
    if (!Number.isInteger(fd) || fd < 0) {
      throw new RangeError(`Cannot own fd ${fd} (${what}): not an open fd`);
    }
    this.#fd = fd;
    this.#what = what;
    leaks.register(this, [fd, what], this);
  }

  /**
   * The number to pass to system calls.
   *
   * @throws {Deno.errors.BadResource} If it was closed or released.
   */
  get fd(): number {
    if (this.#fd < 0) {
      throw new Deno.errors.BadResource(
        `Cannot use ${this.#what}: it is closed`,
      );
    }
    return this.#fd;
  }

  /** Subject of messages. */
  get what(): string {
    return this.#what;
  }

  /** True once it was closed or released. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Gives up ownership without closing: the caller owns the number now.
   *
   * @throws {Deno.errors.BadResource} If it was closed or released.
   */
  release(): number {
    const fd = this.fd;
    this.#fd = -1;
    leaks.unregister(this);
    return fd;
  }

  /**
   * Closes it; does nothing the second time. Errors of the last write do not
   * concern any fd of this program, so only one is thrown: that other code
   * closed it, which is a bug.
   *
   * @throws {OsError} If the number was not open any more (EBADF).
   */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.release();
    // Linux frees the number even when close says EINTR: never retried.
    if (libc().close(fd) < 0) {
      const errno = lastErrno();
      if (errno === EBADF) throw new OsError("close", errno, this.#what);
    }
  }

  /** The same as {@linkcode OwnedFd.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
