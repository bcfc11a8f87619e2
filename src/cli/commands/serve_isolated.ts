/**
 * `gpioagg serve-isolated FD`: the process of one aggregator, which a service
 * starts (`isolate: process`). Not for users.
 *
 * @module
 */
import { continueAtParentEnd } from "../../../ffi/process.ts";
import { serveIsolated } from "../../service/isolate/aggregator_process.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { isOfParent } from "../parent_socket.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const [fd = ""] = args;
  if (args.length !== 1 || !isOfParent(fd)) {
    throw new ConfigError("is an internal command of gpioagg serve", {
      path: "serve-isolated",
      hint: "Add isolate: process to the file, or serve --isolate",
    });
  }
  // Stopped, it would not notice the end of the service, and hold lines that are
  // to be safe, or are the next one's.
  continueAtParentEnd();
  return await serveIsolated(Number(fd));
}
