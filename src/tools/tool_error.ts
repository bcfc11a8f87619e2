/**
 * How the tools fail: one or several lines on standard error, exit status 1.
 *
 * @module
 */

/**
 * What a tool could not do, in the words that go to standard error behind the
 * program's name.
 */
export class ToolError extends Error {
  /** The lines to print, each behind the program's name. */
  readonly lines: readonly string[];

  /** Takes one line, or several that stand for several failures. */
  constructor(lines: string | readonly string[], options?: ErrorOptions) {
    const all = typeof lines === "string" ? [lines] : [...lines];
    super(all.join("; "), options);
    this.name = "ToolError";
    this.lines = all;
  }
}

/**
 * The C library's words for the errors of the GPIO character device: scripts
 * around libgpiod's tools match on them.
 */
const LIBC_TEXTS: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EINTR: "Interrupted system call",
  EIO: "Input/output error",
  ENXIO: "No such device or address",
  EBADF: "Bad file descriptor",
  EAGAIN: "Resource temporarily unavailable",
  ENOMEM: "Cannot allocate memory",
  EACCES: "Permission denied",
  EBUSY: "Device or resource busy",
  ENODEV: "No such device",
  ENOTDIR: "Not a directory",
  EINVAL: "Invalid argument",
  ENFILE: "Too many open files in system",
  EMFILE: "Too many open files",
  ENOTTY: "Inappropriate ioctl for device",
  EPIPE: "Broken pipe",
  ERANGE: "Numerical result out of range",
  ENOSYS: "Function not implemented",
  ELOOP: "Too many levels of symbolic links",
  EPROTO: "Protocol error",
  EOPNOTSUPP: "Operation not supported",
  ETIMEDOUT: "Connection timed out",
  EREMOTEIO: "Remote I/O error",
};

/**
 * The reason inside `error`: the C library's text for the first error in its
 * chain of causes that carries an errno code, or else its message.
 */
export function reasonOf(error: unknown): string {
  const code = errnoCodeOf(error);
  if (code !== undefined) return libcText(code);
  return error instanceof Error ? error.message : String(error);
}

/** The C library's text for an errno code such as "EBUSY". */
export function libcText(code: string): string {
  return LIBC_TEXTS[code] ?? code;
}

/** The errno code ("EBUSY") in `error` or its causes, if there is one. */
export function errnoCodeOf(error: unknown): string | undefined {
  let at: unknown = error;
  for (let depth = 0; at instanceof Error && depth < 8; depth++) {
    if ("code" in at && typeof at.code === "string") return at.code;
    at = at.cause;
  }
  return undefined;
}
