/**
 * Sockets that the process which started this one has passed to it.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import {
  isListening,
  peerCredentials,
  streamSocketProblem,
} from "../../ffi/unix_socket.ts";

/**
 * Returns true for the number of a socket whose other end was made by the
 * process that started this one. Any other fd does not belong to this process:
 * it may be the runtime's, or a log.
 */
export function isOfParent(fd: string): boolean {
  if (!/^\d{1,6}$/.test(fd)) return false;
  try {
    const number = Number(fd);
    return streamSocketProblem(number) === undefined && !isListening(number) &&
      peerCredentials(number).pid === Deno.ppid;
  } catch (error) {
    if (isOsError(error)) return false;
    throw error;
  }
}
