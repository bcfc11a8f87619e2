/**
 * `gpioagg kernel`: makes chips of this host's kernel from lines of other
 * chips.
 *
 * @module
 */
import { NotThereError } from "../not_there.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { describeRecord, listInventory } from "../../kernel_chip/inventory.ts";
import {
  collectGarbage,
  type Collection,
  isForbidden,
  takeDown,
} from "../../kernel_chip/cleanup.ts";
import {
  type ChipRecord,
  describeHolder,
  type FoundRecord,
  Records,
  RECORDS_DIRECTORY,
  visibleRecords,
} from "../../kernel_chip/records.ts";
import {
  beginHold,
  detachOwnAdapters,
  endHold,
} from "../../kernel_chip/suspend.ts";
import { nearest } from "../../text/nearest.ts";
import { printable, printableJson } from "../../text/printable.ts";
import { readArguments } from "../arguments/arguments.ts";
import { chipTable } from "../output/chip_table.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { helpText } from "../usage/help_text.ts";
import { create } from "./kernel_create.ts";
import { USAGE } from "./kernel_usage.ts";

export { USAGE } from "./kernel_usage.ts";

const ACTIONS = { list, create, remove, gc, suspend, resume } as const;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const [action, ...rest] = args;
  if (action === undefined || action === "--help" || action === "-h") {
    writeOutput(helpText(USAGE));
    return action === undefined ? 2 : 0;
  }
  if (!Object.hasOwn(ACTIONS, action)) {
    const near = nearest(action, Object.keys(ACTIONS));
    throw new ConfigError(`unknown action "${action}"`, {
      hint: near === undefined
        ? "gpioagg kernel --help lists the actions"
        : `Did you mean gpioagg kernel ${near}?`,
    });
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    writeOutput(helpText(USAGE));
    return 0;
  }
  try {
    return await ACTIONS[action as keyof typeof ACTIONS](rest);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const isGiven = rest.some((word) => word.startsWith("--attach-fd"));
    throw new Error(
      `${(error as Error).message}; ` +
        (isGiven
          ? "a maker without root's rights needs a directory of its own in " +
            "$XDG_RUNTIME_DIR, and leaves --owner, --group and --mode to udev"
          : "kernel chips require root"),
      { cause: error },
    );
  }
}

async function list(args: readonly string[]): Promise<number> {
  const { json, directory, rest } = readArguments(
    args,
    USAGE.actions.list.options,
  );
  refuseStray(rest);
  const chips = listInventory(
    directory === undefined
      ? await visibleRecords()
      : await recordsIn(directory).list(),
  );
  if (json) writeOutput(printableJson({ chips }));
  else if (chips.length > 0) writeOutput(chipTable(chips, false));
  return 0;
}

async function gc(args: readonly string[]): Promise<number> {
  const { json, directory, rest } = readArguments(
    args,
    USAGE.actions.gc.options,
  );
  refuseStray(rest);
  const { removed, failed } = await collect(recordsIn(directory));
  if (json) {
    const chips = removed.map((record) => describeRecord(record, "orphaned"));
    writeOutput(printableJson({ chips }));
  } else if (removed.length === 0 && failed.length === 0) {
    writeOutput("no chip was left over");
  } else {
    for (const record of removed) tellRemoved(record);
  }
  for (const { record, error } of failed) {
    writeError(`Cannot remove ${record.name}: ${error.message}`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function suspend(args: readonly string[]): Promise<number> {
  const { json, directory, rest } = readArguments(
    args,
    USAGE.actions.suspend.options,
  );
  refuseStray(rest);
  // Makers look at it before they attach again what is detached now.
  beginHold(recordsDirectory(directory));
  const detached = await detachOwnAdapters();
  if (json) writeOutput(printableJson({ adapters: detached }));
  else if (detached.length === 0) writeOutput("no adapter was attached");
  else {
    for (const { port, serial } of detached) {
      writeOutput(`detached ${printable(serial)} (port ${port})`);
    }
  }
  return 0;
}

// deno-lint-ignore require-await -- as the other actions
async function resume(args: readonly string[]): Promise<number> {
  const { directory, rest } = readArguments(args, USAGE.actions.resume.options);
  refuseStray(rest);
  endHold(recordsDirectory(directory));
  return 0;
}

/** Returns the records of this user, or those in a container's directory. */
function recordsIn(directory: string | undefined): Records {
  return new Records(recordsDirectory(directory));
}

/** Returns the directory of records in a container's directory. */
function recordsDirectory(directory: string | undefined): string | undefined {
  return directory === undefined
    ? undefined
    : `${directory}/${RECORDS_DIRECTORY}`;
}

async function collect(records: Records): Promise<Collection> {
  // Without write permission there it need not fail: the records can be read.
  if (records.isEmpty) return { removed: [], failed: [] };
  using _lock = await records.lock();
  return await collectGarbage(records);
}

async function remove(args: readonly string[]): Promise<number> {
  const { force, json, rest } = readArguments(
    args,
    USAGE.actions.remove.options,
  );
  if (rest.length === 0) {
    throw new ConfigError("missing NAME argument", {
      hint:
        "gpioagg kernel remove NAME...; gpioagg kernel list shows the chips",
    });
  }
  const records = new Records();
  if (records.isEmpty) throw await unknownChip(rest[0]!, []);
  // Checked under the lock: the state that is seen is the state that is
  // removed.
  using _lock = await records.lock();
  const known = await records.list();
  const chosen: FoundRecord[] = [];
  for (const name of new Set(rest)) {
    const record = known.find((record) => record.name === name);
    if (record === undefined) throw await unknownChip(name, known);
    if (record.state === "held" && !force) {
      throw new Error(
        `Cannot remove ${name}: ${describeHolder(record)} holds it. End that ` +
          `process, or use --force`,
      );
    }
    chosen.push(record);
  }
  const removed: FoundRecord[] = [];
  try {
    for (const record of chosen) {
      await takeDown(records, record);
      removed.push(record);
      if (!json) tellRemoved(record);
    }
  } finally {
    if (json) {
      const chips = removed.map((record) =>
        describeRecord(record, record.state)
      );
      writeOutput(printableJson({ chips }));
    }
  }
  return 0;
}

/** Returns the reason why a chip of this name cannot be removed. */
async function unknownChip(
  name: string,
  known: readonly ChipRecord[],
): Promise<Error> {
  if ((await visibleRecords()).some((record) => record.name === name)) {
    return new Error(
      `Cannot remove ${name}: it is root's; kernel chips require root`,
    );
  }
  const near = nearest(name, known.map((record) => record.name));
  return new NotThereError(
    `There is no chip "${name}" of gpioagg's`,
    "gpioagg kernel list shows the chips",
    near,
  );
}

function tellRemoved({ name, path, device }: ChipRecord): void {
  const what = path ?? device;
  writeOutput(`removed ${name}` + (what === undefined ? "" : ` (${what})`));
}

function refuseStray([stray]: readonly string[]): void {
  if (stray === undefined) return;
  throw new ConfigError(`unexpected argument "${stray}"`, {
    hint: "gpioagg kernel --help lists the options",
  });
}
