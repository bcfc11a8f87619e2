/**
 * Linux error numbers, their names, and what they mean in plain English.
 *
 * The numbers are those of `asm-generic/errno.h`, which x86_64 and aarch64
 * share.
 *
 * @module
 */
import { ERRNO_TABLE, FIRST_INTERNAL_ERRNO } from "./errno_table.ts";

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
/** Bad file descriptor. **Safety**: a constant. */
export const EBADF = 9;
/** Try again later. **Safety**: a constant. */
export const EAGAIN = 11;
/** Out of memory. **Safety**: a constant. */
export const ENOMEM = 12;
/** Permission denied. **Safety**: a constant. */
export const EACCES = 13;
/** Busy. **Safety**: a constant. */
export const EBUSY = 16;
/** Already exists. **Safety**: a constant. */
export const EEXIST = 17;
/** The device is gone. **Safety**: a constant. */
export const ENODEV = 19;
/** Not a directory. **Safety**: a constant. */
export const ENOTDIR = 20;
/** Is a directory. **Safety**: a constant. */
export const EISDIR = 21;
/** Invalid argument. **Safety**: a constant. */
export const EINVAL = 22;
/** Too many open files in the process. **Safety**: a constant. */
export const EMFILE = 24;
/** Not an operation of this kind of file. **Safety**: a constant. */
export const ENOTTY = 25;
/** The other end is closed. **Safety**: a constant. */
export const EPIPE = 32;
/** Result out of range. **Safety**: a constant. */
export const ERANGE = 34;
/** Not implemented by this kernel. **Safety**: a constant. */
export const ENOSYS = 38;
/** Too many symbolic links. **Safety**: a constant. */
export const ELOOP = 40;
/** Unexpected answer from the kernel. **Safety**: a constant. */
export const EBADE = 52;
/** Protocol option not available. **Safety**: a constant. */
export const ENOPROTOOPT = 92;
/** Operation not supported. **Safety**: a constant. */
export const EOPNOTSUPP = 95;
/** Connection aborted. **Safety**: a constant. */
export const ECONNABORTED = 103;
/** Connection reset by the other end. **Safety**: a constant. */
export const ECONNRESET = 104;
/** Not connected. **Safety**: a constant. */
export const ENOTCONN = 107;
/** Timed out. **Safety**: a constant. */
export const ETIMEDOUT = 110;

/**
 * Not supported by the driver: a number that the kernel keeps to itself, but
 * that GPIO drivers let slip out. **Safety**: a constant.
 */
export const ENOTSUPP = 524;

/** Meanings that are plainer than the C library's texts. */
const PLAIN_TEXTS: Readonly<Record<string, string>> = {
  EINTR: "interrupted by a signal",
  ENOEXEC: "not an executable",
  ECHILD: "no child process",
  EAGAIN: "try again later",
  ENOMEM: "out of memory",
  EBUSY: "busy",
  EEXIST: "already exists",
  EXDEV: "crosses file systems",
  ENODEV: "the device is gone",
  ENFILE: "too many open files in the system",
  EMFILE: "too many open files in the process",
  ENOTTY: "not an operation of this kind of file",
  ETXTBSY: "program file busy",
  ENOSPC: "no space left",
  ESPIPE: "not seekable",
  EPIPE: "the other end is closed",
  ERANGE: "result out of range",
  EDEADLK: "would deadlock",
  ENAMETOOLONG: "name too long",
  ENOSYS: "not implemented by this kernel",
  ELOOP: "too many symbolic links",
  EBADE: "unexpected answer from the kernel",
  EOVERFLOW: "value too large",
  ENOTSOCK: "not a socket",
  EADDRNOTAVAIL: "address not available",
  ECONNABORTED: "connection aborted",
  ECONNRESET: "connection reset by the other end",
  ENOBUFS: "no buffer space",
  EISCONN: "already connected",
  ENOTCONN: "not connected",
  ETIMEDOUT: "timed out",
  ECONNREFUSED: "connection refused: no process listens",
  EALREADY: "already under way",
  EINPROGRESS: "now under way",
  ECANCELED: "cancelled",
  ENOTSUPP: "not supported by the driver",
  EPROBE_DEFER: "the driver waits for another device",
};

interface KnownError {
  readonly code: string;
  readonly libcText: string;
}

const BY_NUMBER: ReadonlyMap<number, KnownError> = new Map(
  ERRNO_TABLE.map(([errno, code, libcText]) => [errno, { code, libcText }]),
);

/**
 * Returns the name of an error number: `"EBUSY"` for 16; `"errno 4095"` for a
 * number that Linux does not use.
 *
 * **Safety**: reads a table only.
 */
export function errnoCode(errno: number): string {
  return BY_NUMBER.get(errno)?.code ?? `errno ${errno}`;
}

/**
 * Returns the meaning of an error number in plain English: `"busy"` for EBUSY.
 *
 * **Safety**: reads a table only.
 */
export function errnoText(errno: number): string {
  const known = BY_NUMBER.get(errno);
  if (known === undefined) return "unknown error";
  return PLAIN_TEXTS[known.code] ??
    // "Remote I/O error" begins a sentence; "RFS specific error" is a name.
    known.libcText.replace(/^[A-Z](?![A-Z])/, (letter) => letter.toLowerCase());
}

/**
 * Returns the text of `strerror` in the C locale, on which scripts match:
 * `"Device or resource busy"` for EBUSY. For a number that is internal to the
 * kernel, its meaning and its name.
 *
 * **Safety**: reads a table only.
 */
export function libcErrorText(errno: number): string {
  const known = BY_NUMBER.get(errno);
  if (known === undefined) return `Unknown error ${errno}`;
  return errno < FIRST_INTERNAL_ERRNO
    ? known.libcText
    : `${known.libcText} (${known.code})`;
}

/**
 * Returns the error number of a name, and undefined for an unknown name.
 *
 * **Safety**: reads a table only.
 */
export function findErrno(code: string): number | undefined {
  const number = /^errno (\d+)$/.exec(code)?.[1];
  if (number !== undefined) return Number(number);
  return ERRNO_TABLE.find(([, known]) => known === code)?.[0];
}
