/**
 * What the commands that talk to a running service have in common.
 *
 * @module
 */
import { ServiceClient } from "../client/client.ts";
import { API_SOCKET_NAME } from "../client/protocol.ts";
import { fileStatus } from "../../ffi/files.ts";

/** What `--help` says of {@linkcode clientOf}'s switch. */
export const API_HELP =
  `  --api PATH  the service's control API; without: api.sock in
              $XDG_RUNTIME_DIR/gpioagg or /run/gpioagg, whichever is there`;

/** The client for `--api PATH`, or for the service that is where it usually is. */
export function clientOf(path: string | undefined): ServiceClient {
  return new ServiceClient(path ?? usualPath());
}

function usualPath(): string {
  const system = `/run/gpioagg/${API_SOCKET_NAME}`;
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  if (runtime === undefined || runtime === "") return system;
  const own = `${runtime}/gpioagg/${API_SOCKET_NAME}`;
  return fileStatus(own) === undefined ? system : own;
}
