/**
 * Check of an fd that was kept by another process.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../../ffi/files.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";

/** Name of the file of a line request in the kernel. */
const REQUEST_FILE = "anon_inode:gpio-line";

/**
 * Why an fd is not the request of just this line; undefined if it is. (Before
 * Linux 5.19 the kernel does not tell which line.)
 *
 * **Ownership**: the fd is lent.
 */
export function requestFault(
  fd: OwnedFd,
  chipName: string,
  offset: number,
): string | undefined {
  try {
    const file = readLink(`/proc/self/fd/${fd.fd}`);
    if (file !== REQUEST_FILE) return `it is no line request, but ${file}`;
    const lines = readSmallFile(`/proc/self/fdinfo/${fd.fd}`) ?? "";
    const chip = /^gpio-chip:\s*(.*)$/m.exec(lines)?.[1];
    const offsets = [...lines.matchAll(/^gpio-line:\s*(\d+)$/gm)]
      .map(([, text]) => Number(text));
    const isOther = chip !== undefined &&
      (chip !== chipName || offsets.length !== 1 || offsets[0] !== offset);
    if (isOther) return `it is the request of line ${offsets} of ${chip}`;
    return undefined;
  } catch (error) {
    if (!isOsError(error)) throw error;
    return error.message;
  }
}
