/**
 * Linux error numbers, their names, and what they mean in plain English.
 *
 * The numbers are those of `asm-generic/errno.h`, which x86_64 and aarch64 share.
 *
 * @module
 */

/** Operation not permitted. **Safety**: a constant. */
export const EPERM = 1;
/** No such file or directory. **Safety**: a constant. */
export const ENOENT = 2;
/** No such process. **Safety**: a constant. */
export const ESRCH = 3;
/** Interrupted by a signal. **Safety**: a constant. */
export const EINTR = 4;
/** Input/output error. **Safety**: a constant. */
export const EIO = 5;
/** No such device or address. **Safety**: a constant. */
export const ENXIO = 6;
/** Argument list too long. **Safety**: a constant. */
export const E2BIG = 7;
/** Not an executable. **Safety**: a constant. */
export const ENOEXEC = 8;
/** Bad file descriptor. **Safety**: a constant. */
export const EBADF = 9;
/** No child process. **Safety**: a constant. */
export const ECHILD = 10;
/** Try again later. **Safety**: a constant. */
export const EAGAIN = 11;
/** Out of memory. **Safety**: a constant. */
export const ENOMEM = 12;
/** Permission denied. **Safety**: a constant. */
export const EACCES = 13;
/** Bad address. **Safety**: a constant. */
export const EFAULT = 14;
/** Busy. **Safety**: a constant. */
export const EBUSY = 16;
/** Already exists. **Safety**: a constant. */
export const EEXIST = 17;
/** Crosses file systems. **Safety**: a constant. */
export const EXDEV = 18;
/** The device is gone. **Safety**: a constant. */
export const ENODEV = 19;
/** Not a directory. **Safety**: a constant. */
export const ENOTDIR = 20;
/** Is a directory. **Safety**: a constant. */
export const EISDIR = 21;
/** Invalid argument. **Safety**: a constant. */
export const EINVAL = 22;
/** Too many open files in the system. **Safety**: a constant. */
export const ENFILE = 23;
/** Too many open files in the process. **Safety**: a constant. */
export const EMFILE = 24;
/** Not an operation of this kind of file. **Safety**: a constant. */
export const ENOTTY = 25;
/** Program file busy. **Safety**: a constant. */
export const ETXTBSY = 26;
/** File too large. **Safety**: a constant. */
export const EFBIG = 27;
/** No space left. **Safety**: a constant. */
export const ENOSPC = 28;
/** Not seekable. **Safety**: a constant. */
export const ESPIPE = 29;
/** Read-only file system. **Safety**: a constant. */
export const EROFS = 30;
/** Too many links. **Safety**: a constant. */
export const EMLINK = 31;
/** The other end is closed. **Safety**: a constant. */
export const EPIPE = 32;
/** Result out of range. **Safety**: a constant. */
export const ERANGE = 34;
/** Would deadlock. **Safety**: a constant. */
export const EDEADLK = 35;
/** Name too long. **Safety**: a constant. */
export const ENAMETOOLONG = 36;
/** Not implemented by this kernel. **Safety**: a constant. */
export const ENOSYS = 38;
/** Directory not empty. **Safety**: a constant. */
export const ENOTEMPTY = 39;
/** Too many symbolic links. **Safety**: a constant. */
export const ELOOP = 40;
/** Unexpected answer from the kernel. **Safety**: a constant. */
export const EBADE = 52;
/** Protocol error. **Safety**: a constant. */
export const EPROTO = 71;
/** Value too large. **Safety**: a constant. */
export const EOVERFLOW = 75;
/** Not a socket. **Safety**: a constant. */
export const ENOTSOCK = 88;
/** Message too long. **Safety**: a constant. */
export const EMSGSIZE = 90;
/** Protocol not supported. **Safety**: a constant. */
export const EPROTONOSUPPORT = 93;
/** Operation not supported. **Safety**: a constant. */
export const EOPNOTSUPP = 95;
/** Address already in use. **Safety**: a constant. */
export const EADDRINUSE = 98;
/** Address not available. **Safety**: a constant. */
export const EADDRNOTAVAIL = 99;
/** Connection aborted. **Safety**: a constant. */
export const ECONNABORTED = 103;
/** Connection reset by the other end. **Safety**: a constant. */
export const ECONNRESET = 104;
/** No buffer space. **Safety**: a constant. */
export const ENOBUFS = 105;
/** Already connected. **Safety**: a constant. */
export const EISCONN = 106;
/** Not connected. **Safety**: a constant. */
export const ENOTCONN = 107;
/** Timed out. **Safety**: a constant. */
export const ETIMEDOUT = 110;
/** Connection refused: nobody listens. **Safety**: a constant. */
export const ECONNREFUSED = 111;
/** Already under way. **Safety**: a constant. */
export const EALREADY = 114;
/** Now under way. **Safety**: a constant. */
export const EINPROGRESS = 115;
/** Structure needs cleaning. **Safety**: a constant. */
export const EUCLEAN = 117;
/** Cancelled. **Safety**: a constant. */
export const ECANCELED = 125;

/**
 * Not supported by the driver: a number that the kernel keeps to itself, but
 * that GPIO drivers let slip out. **Safety**: a constant.
 */
export const ENOTSUPP = 524;

/** Number, name and meaning of every error that this table knows. */
const ERRORS: ReadonlyMap<number, readonly [code: string, text: string]> =
  new Map(
    ([
      [EPERM, "EPERM", "operation not permitted"],
      [ENOENT, "ENOENT", "no such file or directory"],
      [ESRCH, "ESRCH", "no such process"],
      [EINTR, "EINTR", "interrupted by a signal"],
      [EIO, "EIO", "input/output error"],
      [ENXIO, "ENXIO", "no such device or address"],
      [E2BIG, "E2BIG", "argument list too long"],
      [ENOEXEC, "ENOEXEC", "not an executable"],
      [EBADF, "EBADF", "bad file descriptor"],
      [ECHILD, "ECHILD", "no child process"],
      [EAGAIN, "EAGAIN", "try again later"],
      [ENOMEM, "ENOMEM", "out of memory"],
      [EACCES, "EACCES", "permission denied"],
      [EFAULT, "EFAULT", "bad address"],
      [EBUSY, "EBUSY", "busy"],
      [EEXIST, "EEXIST", "already exists"],
      [EXDEV, "EXDEV", "crosses file systems"],
      [ENODEV, "ENODEV", "the device is gone"],
      [ENOTDIR, "ENOTDIR", "not a directory"],
      [EISDIR, "EISDIR", "is a directory"],
      [EINVAL, "EINVAL", "invalid argument"],
      [ENFILE, "ENFILE", "too many open files in the system"],
      [EMFILE, "EMFILE", "too many open files in the process"],
      [ENOTTY, "ENOTTY", "not an operation of this kind of file"],
      [ETXTBSY, "ETXTBSY", "program file busy"],
      [EFBIG, "EFBIG", "file too large"],
      [ENOSPC, "ENOSPC", "no space left"],
      [ESPIPE, "ESPIPE", "not seekable"],
      [EROFS, "EROFS", "read-only file system"],
      [EMLINK, "EMLINK", "too many links"],
      [EPIPE, "EPIPE", "the other end is closed"],
      [ERANGE, "ERANGE", "result out of range"],
      [EDEADLK, "EDEADLK", "would deadlock"],
      [ENAMETOOLONG, "ENAMETOOLONG", "name too long"],
      [ENOSYS, "ENOSYS", "not implemented by this kernel"],
      [ENOTEMPTY, "ENOTEMPTY", "directory not empty"],
      [ELOOP, "ELOOP", "too many symbolic links"],
      [EBADE, "EBADE", "unexpected answer from the kernel"],
      [EPROTO, "EPROTO", "protocol error"],
      [EOVERFLOW, "EOVERFLOW", "value too large"],
      [ENOTSOCK, "ENOTSOCK", "not a socket"],
      [EMSGSIZE, "EMSGSIZE", "message too long"],
      [EPROTONOSUPPORT, "EPROTONOSUPPORT", "protocol not supported"],
      [EOPNOTSUPP, "EOPNOTSUPP", "operation not supported"],
      [EADDRINUSE, "EADDRINUSE", "address already in use"],
      [EADDRNOTAVAIL, "EADDRNOTAVAIL", "address not available"],
      [ECONNABORTED, "ECONNABORTED", "connection aborted"],
      [ECONNRESET, "ECONNRESET", "connection reset by the other end"],
      [ENOBUFS, "ENOBUFS", "no buffer space"],
      [EISCONN, "EISCONN", "already connected"],
      [ENOTCONN, "ENOTCONN", "not connected"],
      [ETIMEDOUT, "ETIMEDOUT", "timed out"],
      [ECONNREFUSED, "ECONNREFUSED", "connection refused: nobody listens"],
      [EALREADY, "EALREADY", "already under way"],
      [EINPROGRESS, "EINPROGRESS", "now under way"],
      [EUCLEAN, "EUCLEAN", "structure needs cleaning"],
      [ECANCELED, "ECANCELED", "cancelled"],
      [ENOTSUPP, "ENOTSUPP", "not supported by the driver"],
    ] as const).map(([number, code, text]) => [number, [code, text]]),
  );

/**
 * The name of an error number: `"EBUSY"` for 16; `"errno 4095"` for one that
 * has no name here.
 *
 * **Safety**: reads a table only.
 */
export function errnoCode(errno: number): string {
  return ERRORS.get(errno)?.[0] ?? `errno ${errno}`;
}

/**
 * What an error number means, in plain English: `"busy"` for EBUSY.
 *
 * **Safety**: reads a table only.
 */
export function errnoText(errno: number): string {
  return ERRORS.get(errno)?.[1] ?? "unknown error";
}
