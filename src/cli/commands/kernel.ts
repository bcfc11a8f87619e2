/**
 * `gpioagg kernel`: makes chips of this host's kernel from lines of other
 * chips.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { checkKernelDevice } from "../../config/checks/kernel_lines.ts";
import { checkKernelSpecs } from "../../config/spec/kernel_specs.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { nearest } from "../../text/nearest.ts";
import { Problems } from "../../config/document/problems.ts";
import type { KernelInterface } from "../../config/specification.ts";
import {
  MODE,
  readValue,
  USB_DEVICE,
  type UsbDeviceName,
} from "../../config/values/values.ts";
import { goesByUsb } from "../../kernel_chip/choice.ts";
import { describeRecord, listInventory } from "../../kernel_chip/inventory.ts";
import {
  collectGarbage,
  type Collection,
  isForbidden,
  takeDown,
} from "../../kernel_chip/janitor.ts";
import { KernelChip } from "../../kernel_chip/kernel_chip.ts";
import { lostChipsText } from "../../kernel_chip/lost_chips.ts";
import {
  type ChipRecord,
  type FoundRecord,
  holderOf,
  Records,
  RECORDS_DIRECTORY,
  visibleRecords,
} from "../../kernel_chip/records.ts";
import { readArguments } from "../arguments/arguments.ts";
import { helpText } from "../usage/help_text.ts";
import {
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
  LINE_OPTION,
  type OptionUsage,
} from "../usage/usage.ts";
import { chipTable } from "../output/chip_table.ts";
import {
  writeError,
  writeInBackground,
  writeOutput,
} from "../output/output.ts";
import { printableJson } from "../../text/printable.ts";

const ACTIONS = { list, create, remove, gc } as const;

/** Interval of checks of a held chip. */
const LOOK_MS = 500;

const DIRECTORY_OPTION = {
  kind: "value",
  value: "DIR",
  help: "use this directory instead of /run/gpioagg, such as that of a " +
    "container. Each container has a directory of its own, and its contents " +
    "are the container's claims",
  completes: "directory",
} as const satisfies OptionUsage;

/** The command line. */
export const USAGE = {
  name: "kernel",
  synopsis: [
    "create --line SPEC... [--name NAME] [OPTION...]",
    "list [--json] [--directory DIR]",
    "remove NAME... [--force] [--json]",
    "gc [--json] [--directory DIR]",
  ],
  about:
    `Makes a chip of this host, /dev/gpiochipN, from lines of its other chips: for one
user, one container, or a VMM that opens a GPIO chip itself. It is made with the
kernel's gpio-aggregator; or, where the kernel has none or a line has rules, with
the kernel's drivers of USB adapters (interface usb). Requires root.`,
  actions: {
    create: {
      about:
        "makes the chip and holds it until SIGTERM or SIGINT. When gpioagg " +
        "dies in any other way, SIGKILL included, the chip is removed.",
      operands: [],
      options: {
        line: {
          ...LINE_OPTION,
          help: "add lines: gpiochip0/0-7,9 or LINE_NAME, with as=NAME to " +
            "rename. Interface usb has all sources and rules of gpioagg " +
            "serve, and no names.",
        },
        name: {
          kind: "value",
          value: "NAME",
          help: "its name in remove and list (agg0, agg1, …)",
        },
        owner: {
          kind: "value",
          value: "USER",
          help: "give the device node to this user",
          completes: "user",
        },
        group: {
          kind: "value",
          value: "GROUP",
          help: "… and to this group",
          completes: "group",
        },
        mode: {
          kind: "value",
          value: "MODE",
          help: "… with these permissions, such as 660",
        },
        detach: {
          kind: "flag",
          help: "make the chip and exit: only remove removes it",
        },
        interface: {
          kind: "value",
          value: "NAME",
          help: "configfs (Linux 6.16 and newer), sysfs (5.8 and newer, no " +
            "names) or usb (needs the module vhci-hcd); default: the first " +
            "that is there and has what the lines need",
          completes: ["configfs", "sysfs", "usb"],
        },
        device: {
          kind: "value",
          value: "MODEL",
          help:
            "with usb: ljca (Linux 6.7 and newer: 64 lines, one such chip) " +
            "or cp2112 (a chip for each 8 lines); default: ljca where the " +
            "kernel has it",
          completes: ["ljca", "cp2112"],
        },
        json: JSON_OPTION,
      },
    },
    list: {
      about:
        'shows all chips of the kernel\'s gpio-aggregator; "foreign" ones ' +
        "were not made by a gpioagg whose records this user can read",
      operands: [],
      options: { directory: DIRECTORY_OPTION, json: JSON_OPTION },
    },
    remove: {
      about: "removes chips, and prints each",
      operands: ["kernel-chip"],
      options: {
        force: { kind: "flag", help: "even while a process holds them" },
        json: JSON_OPTION,
      },
    },
    gc: {
      about:
        "removes the chips that dead processes left, and prints each, or " +
        "that no chip was left over; status 1 if one cannot be removed. create " +
        "does so too",
      operands: [],
      options: { directory: DIRECTORY_OPTION, json: JSON_OPTION },
    },
  },
  options: { help: HELP_OPTION },
} as const satisfies CommandUsage;

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
    throw new Error(
      `${(error as Error).message}; kernel chips require root`,
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

/** Returns the records of this user, or those in a container's directory. */
function recordsIn(directory: string | undefined): Records {
  return directory === undefined
    ? new Records()
    : new Records(`${directory}/${RECORDS_DIRECTORY}`);
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
        `Cannot remove ${name}: ${holderOf(record)} holds it. End that ` +
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
  const given = readArguments(args, USAGE.actions.create.options);
  refuseStray(given.rest);
  const { name, owner, group, mode } = given;
  const through = interfaceOf(given.interface);
  const device = modelOf(given.device);
  const lines = given.line.flatMap((spec) => parseLineSpec(spec));
  // A chip depends on this process, which handles signals.
  writeInBackground();
  const kernelChip = {
    ...(through === undefined ? {} : { interface: through }),
    ...(device === undefined ? {} : { device }),
  };
  const problems = new Problems();
  checkKernelDevice(kernelChip, problems, { path: "--device" });
  problems.throwFirst();
  if (goesByUsb({ kernelChip, lines })) {
    if (given.detach) {
      throw new ConfigError("is not possible with interface usb", {
        path: "--detach",
        hint: "Its lines are served by this process: leave --detach out, or " +
          "use a service (gpioagg serve)",
      });
    }
    const { createUsbChip } = await import("./kernel_usb.ts");
    return await createUsbChip({
      name,
      lines,
      json: given.json,
      kernelChip: {
        ...kernelChip,
        access: { owner, group, mode: modeOf(mode) },
      },
    });
  }
  checkKernelSpecs(given.line, problems);
  problems.throwFirst();
  await using chip = await KernelChip.create({
    lines,
    isDetached: given.detach,
    ...(name === undefined ? {} : { name }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
    ...(mode === undefined ? {} : { mode }),
    ...(through === undefined || through === "usb"
      ? {}
      : { interface: through }),
  });
  const described = describeRecord(
    chip.record,
    given.detach ? "detached" : "held",
  );
  if (given.json) writeOutput(printableJson(described));
  else writeOutput(chipTable([described], true));
  return given.detach ? 0 : await hold(chip);
}

/** Waits for a signal, or for the removal of the chip by another process. */
async function hold(chip: KernelChip): Promise<number> {
  const over = Promise.withResolvers<number>();
  const onSignal = () => over.resolve(0);
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  let lostBefore = 0;
  const timer = setInterval(() => {
    if (chip.isPresent) {
      const lost = chip.lostChips;
      if (lost.length > lostBefore) {
        writeError(`${chip.record.name}: ${lostChipsText(lost, chip.path)}`);
      }
      lostBefore = lost.length;
      return;
    }
    writeError(
      `${chip.record.name}: the chip was removed by another process`,
    );
    over.resolve(1);
  }, LOOK_MS);
  try {
    return await over.promise;
  } finally {
    clearInterval(timer);
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

function interfaceOf(text: string | undefined): KernelInterface | undefined {
  if (
    text === undefined || text === "configfs" || text === "sysfs" ||
    text === "usb"
  ) return text;
  throw new ConfigError(`"${text}" is not a valid interface`, {
    path: "--interface",
    hint: "configfs (Linux 6.16 and newer), sysfs (5.8 and newer) or usb",
  });
}

function modelOf(text: string | undefined): UsbDeviceName | undefined {
  if (text === undefined) return undefined;
  const problems = new Problems();
  const model = readValue(USB_DEVICE, text, problems.at({ path: "--device" }));
  problems.throwFirst();
  return model;
}

function modeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const problems = new Problems();
  const mode = readValue(MODE, text, problems.at({ path: "--mode" }));
  problems.throwFirst();
  return mode;
}

function refuseStray([stray]: readonly string[]): void {
  if (stray === undefined) return;
  throw new ConfigError(`unexpected argument "${stray}"`, {
    hint: "gpioagg kernel --help lists the options",
  });
}
