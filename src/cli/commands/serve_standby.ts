/**
 * `gpioagg serve-standby FD ARGUMENT…`: a process that a keeper started
 * (`serve --standby`), which serves once it is activated. Not for users.
 *
 * @module
 */
import { endWithParent } from "../../../ffi/process.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { waitAsSpare } from "../../service/standby/spare.ts";
import { isOfParent } from "../parent_socket.ts";
import { serveAs, warmUp } from "./serve.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const [fd = "", ...given] = args;
  if (!isOfParent(fd)) {
    throw new ConfigError("is an internal command of gpioagg serve", {
      path: "serve-standby",
      hint: "Use serve --standby",
    });
  }
  const keeper = Deno.ppid;
  endWithParent();
  if (Deno.ppid !== keeper) return 0;
  using standby = await waitAsSpare(
    Number(fd),
    (isToServe) => warmUp(given, isToServe),
  );
  return standby === undefined ? 0 : await serveAs(given, standby);
}
