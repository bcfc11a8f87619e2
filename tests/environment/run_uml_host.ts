/**
 * Runs test files inside a User-Mode-Linux host: the tier `uml-host` of
 * `scripts/test`.
 *
 * Usage: `deno run -P=unit run_uml_host.ts [ARGUMENT-OF-DENO-TEST...] FILE...`
 *
 * @module
 */
import { denoTestInUml } from "./uml_host.ts";

/** Long enough for the slowest of machines; a hang is found by it. */
const LIMIT_MS = 15 * 60_000;

if (import.meta.main) {
  let shown = 0;
  const { code } = await denoTestInUml(
    Deno.args.filter((word) => !word.startsWith("-")),
    {
      arguments: ["-P=unit", ...Deno.args.filter((word) => /^-/.test(word))],
      timeoutMs: LIMIT_MS,
      onOutput: (output) => {
        Deno.stdout.writeSync(new TextEncoder().encode(output.slice(shown)));
        shown = output.length;
      },
    },
  );
  Deno.exit(code);
}
