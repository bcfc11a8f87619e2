/**
 * `deno task soak`: many guests for minutes, with hostile peers among them.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { faultsOf, tableOf } from "./report.ts";
import { runSoak, type SoakOptions } from "./soak.ts";

const USAGE = `Usage: deno task soak [--minutes N] [--seed N] [--aggregators N]
                      [--guests N]

  --minutes N      how long (5); a fraction is possible
  --seed N         what happens in which order; by the clock unless told
  --aggregators N  aggregators of the service (200)
  --guests N       well-behaved guests, whose every answer is checked (64)

Starts a service with simulated lines, wires, copies, interlocks and safe
values; beside the guests others come, go and are killed, API clients make and
remove aggregators, the configuration is reloaded, hostile peers do what they
can, and the service is stopped for moments; at last it is restarted and killed
while the guests stay connected. Exit status: 0 if nothing was lost, wrong or leaked, else 1; 2 for a
wrong option.`;

const KEYS = ["minutes", "seed", "aggregators", "guests"] as const;

function readOptions(): SoakOptions | undefined {
  let isUnknown = false;
  const given: Record<string, unknown> = parseArgs(Deno.args, {
    string: KEYS,
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
  };
  const isGood = !isUnknown && options.minutes > 0 &&
    options.minutes < 10_000 &&
    [options.seed, options.aggregators, options.guests]
      .every((value) => Number.isSafeInteger(value) && value >= 0);
  return isGood ? options : undefined;
}

const options = readOptions();
if (options === undefined) {
  console.error(USAGE);
  Deno.exit(2);
}
console.error(`seed ${options.seed}`);
const report = await runSoak({
  ...options,
  log: (text) => console.error(text),
});
console.log(tableOf(report));
const faults = faultsOf(report);
for (const fault of faults) console.log(`FAULT: ${fault}`);
Deno.exit(faults.length === 0 ? 0 : 1);
