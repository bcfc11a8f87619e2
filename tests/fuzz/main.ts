/**
 * `deno task fuzz`: all fuzzers in turns, one seed after another, until the
 * time is up or something is found.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { runApiFuzz } from "./api_fuzz.ts";
import { runFdFuzz } from "./fd_fuzz.ts";
import { runMessageFuzz } from "./message_fuzz.ts";
import { runQemuFuzz } from "./qemu_fuzz.ts";
import { runRingFuzz } from "./ring_fuzz.ts";
import { runModelFuzz } from "./ring_fuzz_model.ts";
import { runUsbipFuzz } from "./usbip_fuzz.ts";
import { runUsbredirFuzz } from "./usbredir_fuzz.ts";
import { runVfioFuzz } from "./vfio_fuzz.ts";

const USAGE = `Usage: deno task fuzz [--seconds N] [--seed N]

  --seconds N  how long (60)
  --seed N     the first seed; by the clock unless told`;

type Fuzzer = (
  options: { seed: number; iterations: number },
) => object | Promise<object>;

/** Fuzzers with as many iterations as take about a second. */
const FUZZERS: Readonly<Record<string, [fuzzer: Fuzzer, iterations: number]>> =
  {
    messages: [runMessageFuzz, 300],
    qemu: [runQemuFuzz, 20],
    descriptors: [runFdFuzz, 20],
    api: [runApiFuzz, 100],
    usbip: [runUsbipFuzz, 500],
    usbredir: [runUsbredirFuzz, 500],
    vfio: [runVfioFuzz, 300],
    rings: [runRingFuzz, 20_000],
    model: [runModelFuzz, 6000],
  };

const given: Record<string, unknown> = parseArgs(Deno.args, {
  string: ["seconds", "seed"],
  boolean: ["help"],
});
if (given["help"] === true) {
  console.log(USAGE);
  Deno.exit(0);
}
const seconds = Number(given["seconds"] ?? 60);
let seed = Number(given["seed"] ?? Date.now() % 2 ** 31);
if (!Number.isFinite(seconds) || !Number.isSafeInteger(seed)) {
  console.error(USAGE);
  Deno.exit(2);
}

const end = performance.now() + seconds * 1000;
let runs = 0;
while (performance.now() < end) {
  for (const [name, [fuzzer, iterations]] of Object.entries(FUZZERS)) {
    try {
      await fuzzer({ seed, iterations });
    } catch (error) {
      console.error(
        `${name}: seed ${seed}, ${iterations} iterations found something`,
      );
      throw error;
    }
    runs++;
  }
  seed++;
}
console.log(`${runs} runs up to seed ${seed - 1} found nothing`);
