/**
 * `deno task soak`: many guests for minutes, with hostile peers among them.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { faultsOf, tableOf } from "./report.ts";
import { diskEntry, SmallDisk } from "./small_disk.ts";
import { runSoak, type SoakOptions } from "./soak.ts";

const USAGE = `Usage: deno task soak [--minutes N] [--seed N] [--aggregators N]
                      [--guests N] [--disk DIRECTORY]

  --minutes N      how long (5); a fraction is possible
  --seed N         what happens in which order; by the clock unless told
  --aggregators N  aggregators of the service (200)
  --guests N       well-behaved guests, whose every answer is checked (64)
  --disk DIRECTORY an empty file system of some MB for what the service writes,
                   which is filled and freed; one of its own unless told, where
                   this is run by root

Starts a service with simulated lines, wires, copies, interlocks and safe
values; beside the guests others come, go and are killed, API clients make and
remove aggregators, the configuration is reloaded, hostile peers do what they
can, its disk is full for moments, and the service is stopped for moments; at
last it is restarted and killed while the guests stay connected. Exit status: 0
if nothing was lost, wrong or leaked, else 1; 2 for a wrong option.`;

const KEYS = ["minutes", "seed", "aggregators", "guests"] as const;
/** In a shorter run less is waited for what settles late. */
const SHORT_MINUTES = 1;
const SHORT_LOOKS = 4;

interface Options extends SoakOptions {
  readonly diskPath: string | undefined;
}

function readOptions(): Options | undefined {
  let isUnknown = false;
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: [...KEYS, "disk"],
    boolean: ["help"],
    unknown: () => {
      isUnknown = true;
      return false;
    },
  });
  if (given["help"] === true) {
    console.log(USAGE);
    Deno.exit(0);
  }
  const number = (key: typeof KEYS[number], unlessTold: number) =>
    given[key] === undefined ? unlessTold : Number(given[key] || NaN);
  const options = {
    minutes: number("minutes", 5),
    seed: number("seed", Date.now() % 2 ** 31),
    aggregators: number("aggregators", 200),
    guests: number("guests", 64),
    diskPath: given["disk"] as string | undefined,
  };
  const isGood = !isUnknown && options.minutes > 0 &&
    options.minutes < 10_000 &&
    [options.seed, options.aggregators, options.guests]
      .every((value) => Number.isSafeInteger(value) && value >= 0);
  return isGood ? options : undefined;
}

/** Runs this program where it has a small disk; undefined if it cannot. */
async function runWithDisk(seed: number): Promise<number | undefined> {
  const directory = Deno.realPathSync(
    await Deno.makeTempDir({ prefix: "gpioagg-soak-disk-" }),
  );
  try {
    const entry = await diskEntry(directory);
    if (typeof entry === "string") {
      console.error(`no disk is filled: ${entry}`);
      return undefined;
    }
    const { code } = await new Deno.Command(entry.words[0]!, {
      args: [
        ...entry.words.slice(1),
        Deno.execPath(),
        ...["run", "-q", "-P=unit", "--no-check", import.meta.filename!],
        ...Deno.args,
        ...["--seed", String(seed), "--disk", directory],
      ],
      stdin: "null",
    }).spawn().status;
    return code;
  } finally {
    await Deno.remove(directory);
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    console.error(USAGE);
    return 2;
  }
  const { diskPath, ...others } = options;
  if (diskPath === undefined) {
    const code = await runWithDisk(options.seed);
    if (code !== undefined) return code;
  }
  console.error(`seed ${options.seed}`);
  const report = await runSoak({
    ...others,
    ...(options.minutes < SHORT_MINUTES ? { settledLooks: SHORT_LOOKS } : {}),
    disk: diskPath === undefined ? undefined : new SmallDisk(diskPath),
    log: (text) => console.error(text),
  });
  console.log(tableOf(report));
  const faults = faultsOf(report);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  return faults.length === 0 ? 0 : 1;
}

Deno.exit(await main());
