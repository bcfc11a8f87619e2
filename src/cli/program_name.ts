/**
 * The name by which the program was called, so that one executable runs as
 * `gpioagg` and as `gpioget`.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";

/**
 * Returns the name from the launcher, from the link by which a compiled
 * executable was called, or `gpioagg`.
 */
export function calledAs(): string {
  const fromLauncher = Deno.env.get("GPIOAGG_CALLED_AS");
  const path = fromLauncher ??
    (Deno.build.standalone
      ? readSmallFile("/proc/self/cmdline") ?? ""
      : "gpioagg");
  const [argv0 = ""] = path.split("\0", 1);
  return argv0.slice(argv0.lastIndexOf("/") + 1);
}
