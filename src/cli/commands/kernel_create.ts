/**
 * `gpioagg kernel create`: makes a chip and holds it.
 *
 * @module
 */
import { checkKernelDevice } from "../../config/checks/kernel_lines.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { Problems } from "../../config/document/problems.ts";
import { checkKernelSpecs } from "../../config/spec/kernel_specs.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { KernelInterface } from "../../config/specification.ts";
import {
  MODE,
  readValue,
  USB_DEVICE,
  type UsbDeviceName,
} from "../../config/values/values.ts";
import { goesByUsb } from "../../kernel_chip/choice.ts";
import { describeRecord } from "../../kernel_chip/inventory.ts";
import { KernelChip } from "../../kernel_chip/kernel_chip.ts";
import { lostChipsText } from "../../kernel_chip/lost_chips.ts";
import { attachFdProblem } from "../../kernel_chip/usb_adapter.ts";
import { readArguments } from "../arguments/arguments.ts";
import { chipTable } from "../output/chip_table.ts";
import {
  writeError,
  writeInBackground,
  writeOutput,
} from "../output/output.ts";
import { printableJson } from "../../text/printable.ts";
import { USAGE } from "./kernel_usage.ts";

/** Interval of checks of a held chip. */
const LOOK_MS = 500;

/** Makes a chip and holds it. @returns The exit status. */
export async function create(args: readonly string[]): Promise<number> {
  const given = readArguments(args, USAGE.actions.create.options);
  const [stray] = given.rest;
  if (stray !== undefined) {
    throw new ConfigError(`unexpected argument "${stray}"`, {
      hint: "gpioagg kernel --help lists the options",
    });
  }
  const { name, owner, group, mode } = given;
  const through = readInterface(given.interface);
  const device = readModel(given.device);
  const attachFd = readAttachFd(given["attach-fd"], through);
  const lines = given.line.flatMap((spec) => parseLineSpec(spec));
  // A chip depends on this process, which handles signals.
  writeInBackground();
  const kernelChip = {
    ...(through === undefined ? {} : { interface: through }),
    ...(device === undefined ? {} : { device }),
    ...(attachFd === undefined ? {} : { attachFd }),
  };
  const problems = new Problems();
  checkKernelDevice(kernelChip, problems, { path: "--device" });
  problems.throwFirst();
  if (attachFd !== undefined || goesByUsb({ kernelChip, lines })) {
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
        access: { owner, group, mode: readMode(mode) },
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

function readInterface(text: string | undefined): KernelInterface | undefined {
  if (
    text === undefined || text === "configfs" || text === "sysfs" ||
    text === "usb"
  ) return text;
  throw new ConfigError(`"${text}" is not a valid interface`, {
    path: "--interface",
    hint: "configfs (Linux 6.16 and newer), sysfs (5.8 and newer) or usb",
  });
}

function readModel(text: string | undefined): UsbDeviceName | undefined {
  if (text === undefined) return undefined;
  const problems = new Problems();
  const model = readValue(USB_DEVICE, text, problems.at({ path: "--device" }));
  problems.throwFirst();
  return model;
}

function readMode(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const problems = new Problems();
  const mode = readValue(MODE, text, problems.at({ path: "--mode" }));
  problems.throwFirst();
  return mode;
}

/** Reads the number of a descriptor, and looks at what it is. */
function readAttachFd(
  text: string | undefined,
  through: KernelInterface | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  const path = `--attach-fd ${text}`;
  if (through !== undefined && through !== "usb") {
    throw new ConfigError(`makes no sense with interface ${through}`, {
      path,
      hint: "Only interface usb attaches devices: leave --attach-fd out",
    });
  }
  const hint = "Root opens the file for this process: in a shell, gpioagg … " +
    "--attach-fd 9 9>/sys/devices/platform/vhci_hcd.0/attach";
  if (!/^\d{1,7}$/.test(text)) {
    throw new ConfigError("is not a valid file descriptor number", {
      path,
      hint,
    });
  }
  const problem = attachFdProblem(Number(text));
  if (problem !== undefined) throw new ConfigError(problem, { path, hint });
  return Number(text);
}
