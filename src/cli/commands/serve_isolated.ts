/**
 * `gpioagg serve-isolated FD`: the process of one aggregator, which a service
 * starts (`isolate: process`). Not for users.
 *
 * @module
 */
import { isOsError } from "../../../ffi/os_error.ts";
import {
  isListening,
  peerCredentials,
  streamSocketProblem,
} from "../../../ffi/unix_socket.ts";
import { serveIsolated } from "../../service/isolate/aggregator_process.ts";
import { ConfigError } from "../../config/document/config_error.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const [fd = ""] = args;
  if (args.length !== 1 || !/^\d{1,6}$/.test(fd) || !isOfService(Number(fd))) {
    throw new ConfigError("is an internal command of gpioagg serve", {
      path: "serve-isolated",
      hint: "Add isolate: process to the file, or serve --isolate",
    });
  }
  return await serveIsolated(Number(fd));
}

/**
 * Returns true for a socket whose other end was made by the process that
 * started this one. Any other fd does not belong to this process: it may be the
 * runtime's, or a log.
 */
function isOfService(fd: number): boolean {
  try {
    return streamSocketProblem(fd) === undefined && !isListening(fd) &&
      peerCredentials(fd).pid === Deno.ppid;
  } catch (error) {
    if (isOsError(error)) return false;
    throw error;
  }
}
