/**
 * The error of a failed system call.
 *
 * @module
 */
import { errnoCode, errnoText } from "./errno.ts";

/**
 * A system call failed: which one, on what, and the kernel's reason.
 *
 * **Safety**: plain data; the number was captured when the call failed.
 *
 * @example What the kernel said
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { OsError } from "@gpioagg/gpioagg";
 *
 * const error = new OsError("open", 13, "/dev/gpiochip0");
 * assertEquals(error.code, "EACCES");
 * assertEquals(
 *   error.message,
 *   "open failed on /dev/gpiochip0: permission denied (EACCES)",
 * );
 * ```
 */
export class OsError extends Error {
  /** Always `"OsError"`. */
  override readonly name = "OsError";
  /** The call that failed, as in its manual page or the kernel's header. */
  readonly syscall: string;
  /** The kernel's error number, positive. */
  readonly errno: number;
  /** The error number's name: `"EBUSY"`. */
  readonly code: string;
  /** Subject of the call: a path, a chip, a socket. */
  readonly subject: string;

  /** Describes a failed call; `errno` is the positive error number. */
  constructor(
    syscall: string,
    errno: number,
    subject: string,
    options?: ErrorOptions,
  ) {
    const code = errnoCode(errno);
    super(
      `${syscall} failed on ${subject}: ${errnoText(errno)} (${code})`,
      options,
    );
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

/**
 * Returns true if `error` is an {@linkcode OsError}, with one of the `codes`
 * where some are given: `isOsError(error, "EACCES", "EPERM")`.
 *
 * **Safety**: looks at the value only.
 *
 * @example Only what is expected is caught
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { isOsError, OsError } from "@gpioagg/gpioagg";
 *
 * const error: unknown = new OsError("open", 13, "/dev/gpiochip0");
 * assertEquals(isOsError(error, "EACCES", "EPERM"), true);
 * assertEquals(isOsError(error, "EBUSY"), false);
 * ```
 */
export function isOsError(
  error: unknown,
  ...codes: readonly string[]
): error is OsError {
  return error instanceof OsError &&
    (codes.length === 0 || codes.includes(error.code));
}
