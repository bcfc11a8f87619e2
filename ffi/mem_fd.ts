/**
 * Anonymous memory that processes share by passing its fd.
 *
 * @module
 */
import { check, cString, libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";

const MFD_CLOEXEC = 0x1;
const MFD_ALLOW_SEALING = 0x2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 0x1;
const F_SEAL_SHRINK = 0x2;
const F_SEAL_GROW = 0x4;

/**
 * Makes a memory file of `size` bytes, all zero, close-on-exec.
 *
 * @param name What `/proc/PID/fd` shows; need not be unique.
 * @param size Bytes; not rounded.
 * @param options `seal`: the size can never change again, so that a process
 * that maps the file is safe from SIGBUS.
 * @throws {OsError} If the kernel refuses (EMFILE, ENOMEM).
 *
 * **Ownership**: the caller's. **Safety**: without `seal`, each holder of the
 * fd can shrink the file under a mapping.
 */
export function createMemFd(
  name: string,
  size: number,
  options: { seal?: boolean } = {},
): OwnedFd {
  const { fcntl, ftruncate, memfdCreate } = libc();
  const subject = `memory file "${name}"`;
  const fd = new OwnedFd(
    check(
      memfdCreate(cString(name), MFD_CLOEXEC | MFD_ALLOW_SEALING),
      "memfd_create",
      subject,
    ),
    subject,
  );
  try {
    check(ftruncate(fd.fd, BigInt(size)), "ftruncate", subject);
    if (options.seal) {
      const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
      check(fcntl(fd.fd, F_ADD_SEALS, seals), "fcntl(F_ADD_SEALS)", subject);
    }
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}
