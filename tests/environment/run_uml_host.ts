/**
 * Runs test files inside User-Mode-Linux hosts: the tier `uml-host` of
 * `scripts/test`. Each file has a host of its own, two run at a time. A file
 * that fails is shown as it failed, and tried once more: how fast such a host is
 * depends on what else this machine does.
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
      const file = files[next++]!;
      const isGood = await runFile(file, options, "first try: ") ||
        await runFile(file, options, "");
      if (!isGood) failures++;
    }
  }));
  Deno.exit(failures === 0 ? 0 : 1);
}

/**
 * Runs one file, and prints what it said when it is done: each line behind
 * `mark` where something failed.
 */
async function runFile(
  file: string,
  options: string[],
  mark: string,
): Promise<boolean> {
  try {
    const { code, output } = await denoTestInUml([file], {
      arguments: options,
      timeoutMs: LIMIT_MS,
    });
    const text = output.trimEnd();
    console.log(code === 0 ? text : text.replaceAll(/^/gm, mark));
    return code === 0;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`${mark}${file}: ${reason}`);
    return false;
  }
}
