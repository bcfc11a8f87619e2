/**
 * Runs test files inside User-Mode-Linux hosts: the tier `uml-host` of
 * `scripts/test`. Each file has a host of its own, two run at a time.
 *
 * Usage: `deno run -P=unit run_uml_host.ts [ARGUMENT-OF-DENO-TEST...] FILE...`
 *
 * @module
 */
import { denoTestInUml } from "./uml_host.ts";

/** Long enough for the slowest of machines; a hang is found by it. */
const LIMIT_MS = 15 * 60_000;
const AT_ONCE = 2;

if (import.meta.main) {
  const files = Deno.args.filter((word) => !word.startsWith("-"));
  const options = ["-P=unit", ...Deno.args.filter((word) => /^-/.test(word))];
  let failures = 0;
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < files.length) {
      if (!await runFile(files[next++]!, options)) failures++;
    }
  }));
  Deno.exit(failures === 0 ? 0 : 1);
}

/** Runs one file, and prints what it said when it is done. */
async function runFile(file: string, options: string[]): Promise<boolean> {
  try {
    const { code, output } = await denoTestInUml([file], {
      arguments: options,
      timeoutMs: LIMIT_MS,
    });
    console.log(output.trimEnd());
    return code === 0;
  } catch (error) {
    console.log(`${file}: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}
