/**
 * A file whose opening waits: a process has a lease of it.
 *
 * @module
 */
import { lastErrno, libc } from "../../ffi/libc.ts";
import { OsError } from "../../ffi/os_error.ts";
import { O_RDWR, openFile } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";

const F_WRLCK = 1;
const F_SETSIG = 10;
const F_SETLEASE = 1024;
/** Ignored unless a process asks for it. */
const SIGURG = 23;

/**
 * Leases a file of this user. An `open` of it waits until the lease is given up,
 * or for `lease-break-time`.
 *
 * @throws {OsError} If another process has it open.
 *
 * **Source**: fcntl(2), "Leases".
 */
export function leaseFile(path: string): OwnedFd {
  const file = openFile(path, O_RDWR);
  const { fcntl } = libc();
  fcntl(file.fd, F_SETSIG, SIGURG);
  if (fcntl(file.fd, F_SETLEASE, F_WRLCK) === 0) return file;
  const errno = lastErrno();
  file.close();
  throw new OsError("fcntl", errno, path);
}
