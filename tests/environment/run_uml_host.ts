/**
 * Runs test files inside a User-Mode-Linux host of their own: how
 * `scripts/test` runs the files of the tier `uml-host`. Where a file's name
 * begins with "systemd", systemd is the host's first program. A device tree
 * beside a file (`x_test.dts` beside `x_test.ts`) is the host's.
 *
 * Usage: `deno run -P=unit run_uml_host.ts [ARGUMENT-OF-DENO-TEST...] FILE...`
 *
 * @module
 */
import { EXECUTABLE } from "./program.ts";
import { denoTestInUml, SOAK_MEMORY_MIB } from "./uml_host.ts";

/** Long enough for the slowest of machines; a hang is found by it. */
const LIMIT_MS = 15 * 60_000;

/** For virtual machines under systemd. */
const SYSTEMD_MEMORY_MIB = 1792;

/** For images and containers, of which each has a copy of the executable. */
const CONTAINER_MEMORY_MIB = 3072;

if (import.meta.main) {
  const files = Deno.args.filter((word) => !word.startsWith("-"));
  const options = Deno.args.filter((word) => word.startsWith("-"));
  const deviceTree = files
    .map((file) => readIfThere(file.replace(/\.ts$/, ".dts")))
    .find((text) => text !== undefined);
  const { code, output } = await denoTestInUml(files, {
    arguments: ["-P=unit", ...options],
    timeoutMs: LIMIT_MS,
    uml: {
      ...(files.some((file) => /(^|\/)systemd[^/]*$/.test(file))
        ? { systemd: true, memoryMiB: SYSTEMD_MEMORY_MIB }
        : {}),
      ...(files.some((file) => /(^|\/)soak_test[^/]*$/.test(file))
        ? { memoryMiB: SOAK_MEMORY_MIB }
        : {}),
      ...(EXECUTABLE !== undefined &&
          files.some((file) => /(^|\/)container_test[^/]*$/.test(file))
        ? { memoryMiB: CONTAINER_MEMORY_MIB }
        : {}),
      ...(deviceTree === undefined ? {} : { deviceTree }),
    },
  });
  console.log(output.trimEnd());
  Deno.exit(code);
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
