/**
 * `deno task soak`: many guests for minutes, with hostile peers among them.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { runChipSoak } from "./chip_soak.ts";
import { formatTable, listFaults } from "./report.ts";
import { diskEntry, SmallDisk } from "./small_disk.ts";
import { runSoak, type SoakOptions } from "./soak.ts";

const USAGE = `Usage: deno task soak [--minutes N] [--seed N] [--aggregators N]
                      [--guests N] [--heap MB] [--disk DIRECTORY]
       deno task soak --host uml|this [--minutes N] [--seed N]

  --minutes N      how long (5); a fraction is possible
  --seed N         what happens in which order; by the clock unless told
  --aggregators N  aggregators of the service (200)
  --guests N       well-behaved guests, whose every answer is checked (64)
  --heap MB        limit of the heap of each of the service's isolates: garbage
                   that V8 keeps uncollected for long is not taken for a leak
  --disk DIRECTORY an empty file system of some MB for what the service writes,
                   which is filled and freed; one of its own unless told, where
                   this is run by root

Starts a service with simulated lines, wires, copies, interlocks and safe
values; beside the guests others come, go and are killed, API clients make and
remove aggregators, the configuration is reloaded, hostile peers do what they
can, its disk is full for moments, and the service is stopped for moments; at
last it is restarted and killed while the guests stay connected. Exit status: 0
if nothing was lost, wrong or leaked, else 1; 2 for a wrong option.

With --host uml, inside User-Mode Linux: simulated chips of the kernel are
unplugged and come back, the wall clock is set, and a process of each kind is
killed, while guests are served. With --host this, on this machine, which must
have gpio-sim and whose clock is set.`;

const KEYS = ["minutes", "seed", "aggregators", "guests", "heap"] as const;
/** In a shorter run less is waited for what settles late. */
const SHORT_MINUTES = 1;
const SHORT_LOOKS = 4;
/** Time of a soak inside User-Mode Linux beside that of its acts. */
const UML_SLACK_MS = 900_000;

interface Options extends SoakOptions {
  readonly host: string | undefined;
  readonly diskPath: string | undefined;
}

function readOptions(): Options | undefined {
  let isUnknown = false;
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: [...KEYS, "disk", "host"],
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
    heapMb: given["heap"] === undefined ? undefined : number("heap", 0),
    diskPath: given["disk"] as string | undefined,
    host: given["host"] as string | undefined,
  };
  const isGood = !isUnknown &&
    [undefined, "uml", "this"].includes(options.host) && options.minutes > 0 &&
    options.minutes < 10_000 && options.heapMb !== 0 &&
    [options.seed, options.aggregators, options.guests, options.heapMb ?? 1]
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

/** Runs this program inside User-Mode Linux. */
async function runInsideUml({ minutes, seed }: Options): Promise<number> {
  const { cacheProgram, runInUml, SOAK_MEMORY_MIB } = await import(
    "../environment/uml_host.ts"
  );
  await cacheProgram([import.meta.filename!]);
  const { code, output } = await runInUml(
    "deno run -q --no-check --cached-only -P=unit tests/soak/main.ts " +
      `--host this --minutes ${minutes} --seed ${seed}`,
    {
      memoryMiB: SOAK_MEMORY_MIB,
      timeoutMs: 60_000 * minutes + UML_SLACK_MS,
    },
  );
  console.log(output.trimEnd());
  return code;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    console.error(USAGE);
    return 2;
  }
  const { diskPath, host, ...others } = options;
  if (host === "uml") return await runInsideUml(options);
  if (host === "this") {
    const { seed, minutes } = options;
    const log = (text: string) => console.error(text);
    console.table(await runChipSoak({ seconds: 60 * minutes, seed, log }));
    return 0;
  }
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
  console.log(formatTable(report));
  const faults = listFaults(report);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  return faults.length === 0 ? 0 : 1;
}

Deno.exit(await main());
