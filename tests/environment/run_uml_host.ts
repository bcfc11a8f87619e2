/**
 * Runs test files inside a User-Mode-Linux host of their own: how
 * `scripts/test` runs each file of the tier `uml-host`. Where a file's name
 * begins with "systemd", systemd is the host's first program.
 *
 * Usage: `deno run -P=unit run_uml_host.ts [ARGUMENT-OF-DENO-TEST...] FILE...`
 *
 * @module
 */
import { denoTestInUml } from "./uml_host.ts";

/** Long enough for the slowest of machines; a hang is found by it. */
const LIMIT_MS = 15 * 60_000;

if (import.meta.main) {
  const files = Deno.args.filter((word) => !word.startsWith("-"));
  const options = Deno.args.filter((word) => word.startsWith("-"));
  const { code, output } = await denoTestInUml(files, {
    arguments: ["-P=unit", ...options],
    timeoutMs: LIMIT_MS,
    uml: { systemd: files.some((file) => /(^|\/)systemd[^/]*$/.test(file)) },
  });
  console.log(output.trimEnd());
  Deno.exit(code);
}
