/**
 * `gpioagg kernel`: chips of this host's kernel, made of lines of other chips.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import { nearest } from "../config/nearest.ts";
import type { Interface } from "../kernel_chip/driver.ts";
import {
  describeRecord,
  type InventoryChip,
  listInventory,
} from "../kernel_chip/inventory.ts";
import {
  collectGarbage,
  type Collection,
  isForbidden,
  takeDown,
} from "../kernel_chip/janitor.ts";
import { KernelChip } from "../kernel_chip/kernel_chip.ts";
import {
  type ChipRecord,
  type FoundRecord,
  holderOf,
  Records,
  visibleRecords,
} from "../kernel_chip/records.ts";
import { readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";

const ACTIONS = { list, create, remove, gc } as const;

/** How often a held chip is looked at. */
const LOOK_MS = 500;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const [action, ...rest] = args;
  if (action === undefined || action === "--help" || action === "-h") {
    writeOutput(HELP);
    return action === undefined ? 2 : 0;
  }
  if (!Object.hasOwn(ACTIONS, action)) {
    const near = nearest(action, Object.keys(ACTIONS));
    throw new ConfigError(`cannot "${action}" kernel chips`, {
      hint: near === undefined
        ? "gpioagg kernel --help tells what can be done"
        : `Did you mean gpioagg kernel ${near}?`,
    });
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    writeOutput(HELP);
    return 0;
  }
  try {
    return await ACTIONS[action as keyof typeof ACTIONS](rest);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    throw new Error(
      `${(error as Error).message}; kernel chips take root's rights`,
      { cause: error },
    );
  }
}

async function list(args: readonly string[]): Promise<number> {
  const { json, rest } = readArguments(args, { json: "flag" });
  refuseStray(rest);
  const chips = listInventory(await visibleRecords());
  if (json) writeOutput(JSON.stringify({ chips }));
  else if (chips.length > 0) writeOutput(table(chips, false));
  return 0;
}

async function gc(args: readonly string[]): Promise<number> {
  const { json, rest } = readArguments(args, { json: "flag" });
  refuseStray(rest);
  const { removed, failed } = await collect(new Records());
  if (json) {
    const chips = removed.map((record) => describeRecord(record, "orphaned"));
    writeOutput(JSON.stringify({ chips }));
  } else if (removed.length === 0 && failed.length === 0) {
    writeOutput("nothing was left over");
  } else {
    for (const record of removed) tellRemoved(record);
  }
  for (const { record, error } of failed) {
    writeError(`Cannot remove ${record.name}: ${error.message}`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function collect(records: Records): Promise<Collection> {
  // Who has no right to write there need not be refused for nothing.
  if (records.isEmpty) return { removed: [], failed: [] };
  using _lock = await records.lock();
  return await collectGarbage(records);
}

async function remove(args: readonly string[]): Promise<number> {
  const { force, rest } = readArguments(args, { force: "flag" });
  if (rest.length === 0) {
    throw new ConfigError("which chips? None was named", {
      hint: "gpioagg kernel remove NAME...; gpioagg kernel list shows them",
    });
  }
  const records = new Records();
  if (records.isEmpty) throw await unknownChip(rest[0]!, []);
  // Looked at under the lock: what is seen is what is removed.
  using _lock = await records.lock();
  const known = await records.list();
  const chosen: FoundRecord[] = [];
  for (const name of new Set(rest)) {
    const record = known.find((record) => record.name === name);
    if (record === undefined) throw await unknownChip(name, known);
    if (record.state === "held" && !force) {
      throw new Error(
        `Cannot remove ${name}: ${holderOf(record)} holds it. End that ` +
          `process, or say --force`,
      );
    }
    chosen.push(record);
  }
  for (const record of chosen) {
    await takeDown(records, record);
    tellRemoved(record);
  }
  return 0;
}

/** Why a name is none that can be removed from here. */
async function unknownChip(
  name: string,
  known: readonly ChipRecord[],
): Promise<Error> {
  if ((await visibleRecords()).some((record) => record.name === name)) {
    return new Error(
      `Cannot remove ${name}: it is root's; kernel chips take root's rights`,
    );
  }
  const near = nearest(name, known.map((record) => record.name));
  return new ConfigError(`there is no chip "${name}" of gpioagg's`, {
    hint: near === undefined
      ? "gpioagg kernel list shows the chips"
      : `Did you mean ${near}?`,
  });
}

function tellRemoved({ name, path, device }: ChipRecord): void {
  const what = path ?? device;
  writeOutput(`removed ${name}` + (what === undefined ? "" : ` (${what})`));
}

async function create(args: readonly string[]): Promise<number> {
  const given = readArguments(args, {
    line: "values",
    name: "value",
    owner: "value",
    group: "value",
    mode: "value",
    interface: "value",
    detach: "flag",
    json: "flag",
  });
  refuseStray(given.rest);
  const { name, owner, group, mode } = given;
  const through = interfaceOf(given.interface);
  await using chip = await KernelChip.create({
    lines: given.line.flatMap((spec) => parseLineSpec(spec)),
    isDetached: given.detach,
    ...(name === undefined ? {} : { name }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
    ...(mode === undefined ? {} : { mode }),
    ...(through === undefined ? {} : { interface: through }),
  });
  const described = describeRecord(
    chip.record,
    given.detach ? "detached" : "held",
  );
  if (given.json) writeOutput(JSON.stringify(described));
  else writeOutput(table([described], true));
  return given.detach ? 0 : await hold(chip);
}

/** Waits for a signal, or for the chip to go away under us. */
async function hold(chip: KernelChip): Promise<number> {
  const over = Promise.withResolvers<number>();
  const onSignal = () => over.resolve(0);
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  const timer = setInterval(() => {
    if (chip.isPresent) return;
    writeError(`${chip.record.name}: the chip was taken down by somebody else`);
    over.resolve(1);
  }, LOOK_MS);
  try {
    return await over.promise;
  } finally {
    clearInterval(timer);
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

function interfaceOf(text: string | undefined): Interface | undefined {
  if (text === undefined || text === "configfs" || text === "sysfs") {
    return text;
  }
  throw new ConfigError(`"${text}" is no interface`, {
    path: "--interface",
    hint: "configfs (Linux 6.16 and newer) or sysfs (5.8 and newer)",
  });
}

function refuseStray([stray]: readonly string[]): void {
  if (stray === undefined) return;
  throw new ConfigError(`cannot take the argument "${stray}"`, {
    hint: "gpioagg kernel --help tells what can be given",
  });
}

function table(chips: readonly InventoryChip[], withLines: boolean): string {
  const rows = chips.flatMap((chip) => [
    [
      chip.name || "-",
      chip.path ?? "-",
      chip.label ?? "-",
      chip.lines.length === 1 ? "1 line" : `${chip.lines.length} lines`,
      chip.pid === undefined ? chip.state : `held by process ${chip.pid}`,
    ],
    ...(withLines ? chip.lines.map(lineRow) : []),
  ]);
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from(
    { length: columns },
    (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}

function lineRow(line: InventoryChip["lines"][number]): string[] {
  const from = line.offset < 0 ? line.chip : `${line.chip}/${line.offset}`;
  return [`  ${line.lineNumber}`, line.name || "-", from];
}

const HELP =
  `Usage: gpioagg kernel create --line SPEC... [--name NAME] [OPTION...]
       gpioagg kernel list [--json]
       gpioagg kernel remove NAME... [--force]
       gpioagg kernel gc [--json]

Makes a chip of this host, /dev/gpiochipN, of lines of its other chips, by the
kernel's gpio-aggregator: for one user, one container, or a VMM that opens a
GPIO chip by itself. Needs root's rights.

create  makes the chip and holds it until SIGTERM or SIGINT. When gpioagg dies
        in any other way, SIGKILL included, the chip goes with it.
  --line SPEC         add lines: gpiochip0/0-7,9 or LINE_NAME, with as=NAME to
                      rename. The kernel knows no further rules.
  --name NAME         what remove and list call it (agg0, agg1, …)
  --owner USER        give the device node to this user
  --group GROUP       … and to this group
  --mode MODE         … with these permissions, such as 660
  --detach            make the chip and leave it: only remove takes it down
  --interface NAME    configfs (Linux 6.16 and newer) or sysfs (5.8 and newer,
                      no names); the better one is taken otherwise
list    shows the chips that were made like this, by gpioagg and by others;
        "foreign" is what no gpioagg has made that this user can see
remove  takes chips down, and names each; with --force even while a process
        holds them
gc      takes down what dead processes left, and names each, or says that
        nothing was left over; status 1 if something would not go. create does
        so too

  --json              one JSON object on standard output
  -h, --help          this text`;
