/**
 * Files that a service appends to.
 *
 * @module
 */
import { O_APPEND, O_WRONLY } from "../../../ffi/files.ts";
import { fdStatus } from "../../../ffi/file_status.ts";
import { openOutput } from "../../../ffi/trusted_path.ts";

/**
 * Makes the file if it does not exist, and checks that no other user chose it.
 *
 * @param mode Permissions of a file that is made.
 * @returns Its device and inode.
 * @throws {Error} If it cannot be written, or another user could have chosen it.
 */
export function checkAppended(path: string, mode: number): string {
  using file = openOutput(path, O_WRONLY | O_APPEND, { mode });
  const [major, minor, inode] = fdStatus(file.fd).identity.split(":");
  return `${deviceNumber(Number(major), Number(minor))}:${inode}`;
}

/** Returns the device and inode of an open file. */
export function fileIdentity({ dev, ino }: Deno.FileInfo): string {
  return `${dev}:${ino}`;
}

/** Returns a device number in the form of `stat`. */
function deviceNumber(major: number, minor: number): number {
  return major * 0x100 + (minor % 0x100) +
    Math.floor(minor / 0x100) * 0x100000;
}
