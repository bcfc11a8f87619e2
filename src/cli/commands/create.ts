/**
 * `gpioagg create`: makes an aggregator that lives as long as this command.
 *
 * @module
 */
import type {
  AggregatorState,
  CreateRequest,
  KernelChipRequest,
  QemuPinsRequest,
  UsbredirRequest,
} from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { absolutePath } from "../arguments/absolute_path.ts";
import { findSwitch } from "../arguments/create_switches.ts";
import { accessPath } from "../output/aggregator_text.ts";
import {
  ACCESS_OPTIONS,
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  LINE_OPTION,
} from "../usage/usage.ts";
import {
  writeError,
  writeInBackground,
  writeLine,
  writeOutput,
} from "../output/output.ts";
import { readQemuPins } from "../arguments/qemu_pins_argument.ts";
import { readUsbDevice } from "../arguments/usbredir_argument.ts";
import { selectClient } from "../service_client.ts";
import { printableJson } from "../../text/printable.ts";
import { refusedAs } from "../arguments/refused_as.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "create",
  synopsis: [
    "NAME --line SPEC... [--detach] [--kernel-chip[=HOW]] " +
    "[--qemu-pins qtest=PATH,qmp=PATH[,device=TYPE]...] [--vfio-user] " +
    "[--usbredir device=DEVICE[,connect=PATH]]",
  ],
  about:
    `Creates an aggregator in a running service (gpioagg serve --api PATH) and prints
the path for its user: its vhost-user socket, its device node, or QEMU's qtest
socket. It lives as long as this command: when that ends, for any reason, the
guest is disconnected, the lines get their safe state and are released, and
the socket, or the chip, is removed. A restart of the service under systemd does
not end it, unless it is a chip.`,
  // The name is a new one.
  operands: [[]],
  options: {
    line: LINE_OPTION,
    "kernel-chip": {
      kind: "optional",
      value: "HOW",
      help: "make it a chip of the service's host, /dev/gpiochipN, not a " +
        "vhost-user device, by configfs, sysfs (its lines have no rules) or usb",
      completes: ["configfs", "sysfs", "usb"],
    },
    "qemu-pins": {
      kind: "value",
      value: "qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]",
      help: "make it the pins of a controller (pl061) that a QEMU emulates " +
        "instead; its sockets lie below a directory that the service allows " +
        "(gpioagg serve --api-qemu-sockets DIR)",
    },
    "vfio-user": {
      kind: "flag",
      help: "make it a PCI card (ML7213 IOH) at a vfio-user socket instead",
    },
    usbredir: {
      kind: "value",
      value: "device=ljca|cp2112[,connect=PATH]",
      help:
        "make it GPIO adapters on USB instead, for QEMU's usb-redir; with " +
        "PATH the service connects to QEMU's own socket, below a directory " +
        "that it allows (gpioagg serve --api-qemu-sockets DIR)",
      completes: ["device=ljca", "device=cp2112"],
    },
    isolate: { kind: "flag", help: "serve it in a process of its own" },
    "paused-for": {
      kind: "value",
      value: "PERIOD",
      help: "time that a stopped vhost-user driver counts as paused; after " +
        "that its guest counts as gone (3s); keep: no limit",
      completes: ["keep"],
    },
    detach: {
      kind: "flag",
      help:
        "return at once; it lives until gpioagg remove, or the service's end",
    },
    ...ACCESS_OPTIONS,
    json: { kind: "flag", help: "print its description as one JSON object" },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const { kernelChip, rest } = takeKernelChip(args);
  const given = argumentsOrHelp(rest, USAGE);
  if (given === undefined) return 0;
  const [name, ...others] = given.rest;
  if (name === undefined || others.length > 0 || given.line.length === 0) {
    throw new ConfigError("needs one NAME, and lines", {
      hint: "gpioagg create NAME --line SPEC...",
    });
  }
  const request: Omit<CreateRequest, "lease"> = {
    name,
    lines: given.line,
    ...(given["paused-for"] === undefined
      ? {}
      : { pausedFor: given["paused-for"] }),
    ...(given.isolate ? { isolate: "process" as const } : {}),
    ...requestedExposure(given, kernelChip),
  };
  const tell = (state: AggregatorState) =>
    given.json
      ? writeOutput(printableJson(state))
      : writeLine(accessPath(state) ?? name);
  const client = selectClient(given.api, "change");
  if (given.detach) {
    tell(await client.createLasting(request).catch(refused));
    return 0;
  }
  // An aggregator depends on this process, which handles signals.
  writeInBackground();
  const onWait = (isWaiting: boolean) =>
    writeError(
      isWaiting
        ? `${name}: the service is gone; waiting up to 60 s for its return`
        : `${name}: the service is back`,
    );
  await using lease = await client.create(request, { onWait }).catch(refused);
  const told = Promise.withResolvers<void>();
  const onSignal = () => told.resolve();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    tell(lease.state);
    const reason = await Promise.race([lease.ended, told.promise]);
    if (reason === undefined) return 0;
    writeError(`${name} has ended: ${reason}`);
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

/** @throws {ConfigError} If a service rejected the command line. */
function refused(error: unknown): never {
  return refusedAs(error, findSwitch);
}

/** Removes `--kernel-chip[=INTERFACE]` from the arguments, at any position. */
function takeKernelChip(
  args: readonly string[],
): { kernelChip: KernelChipRequest | undefined; rest: string[] } {
  let kernelChip: KernelChipRequest | undefined;
  const rest: string[] = [];
  for (const [i, arg] of args.entries()) {
    const [name, chosen] = arg.split(/=(.*)/s);
    if (name !== "--kernel-chip" || args[i - 1] === "--line") {
      rest.push(arg);
      continue;
    }
    if (kernelChip !== undefined) {
      throw new ConfigError("is given twice", { path: "--kernel-chip" });
    }
    if (
      chosen !== undefined && chosen !== "configfs" && chosen !== "sysfs" &&
      chosen !== "usb"
    ) {
      throw new ConfigError(`"${chosen}" is not a valid interface`, {
        path: "--kernel-chip",
        hint: "configfs (Linux 6.16 and newer), sysfs (5.8 and newer) or usb",
      });
    }
    kernelChip = chosen === undefined ? {} : { interface: chosen };
  }
  return { kernelChip, rest };
}

/** Returns the requested exposure in the service's form. */
function requestedExposure(
  { "qemu-pins": pins, "vfio-user": isCard, usbredir, mode, owner, group }: {
    "qemu-pins": string | undefined;
    "vfio-user": boolean;
    usbredir: string | undefined;
    mode: string | undefined;
    owner: string | undefined;
    group: string | undefined;
  },
  kernelChip: KernelChipRequest | undefined,
): Pick<
  CreateRequest,
  "socket" | "kernelChip" | "qemuPins" | "vfioUser" | "usbredir"
> {
  const access = {
    ...(mode === undefined ? {} : { mode }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
  };
  const chosen = [
    ...kernelChip === undefined ? [] : ["--kernel-chip"],
    ...isCard ? ["--vfio-user"] : [],
    ...usbredir === undefined ? [] : ["--usbredir"],
    ...pins === undefined ? [] : ["--qemu-pins"],
  ];
  if (chosen.length > 1) {
    throw new ConfigError(`${chosen[0]} already presents the lines`, {
      path: chosen[1]!,
      hint: "A line has one user: make two aggregators",
    });
  }
  if (kernelChip !== undefined) {
    return { kernelChip: { ...kernelChip, ...access } };
  }
  if (isCard) return { vfioUser: access };
  if (usbredir !== undefined) {
    return { usbredir: { ...usbredirRequest(usbredir), ...access } };
  }
  if (pins === undefined) return { socket: access };
  const [key] = Object.keys(access);
  if (key !== undefined) {
    throw new ConfigError(
      "applies to a socket of the service or a kernel chip only",
      {
        path: `--${key}`,
        hint: "QEMU makes its own sockets: set their owner and mode there",
      },
    );
  }
  return { qemuPins: pinsRequest(pins) };
}

/**
 * Returns the request of `--qemu-pins`, for a service with another working
 * directory.
 */
function pinsRequest(text: string): QemuPinsRequest {
  const { qtest, qmp, device, index, pins } = readQemuPins(text);
  return {
    qtest: absolutePath(qtest),
    qmp: absolutePath(qmp),
    device,
    ...(index === undefined ? {} : { index }),
    ...(pins === undefined ? {} : {
      pins: Object.fromEntries(
        pins.map(({ key, value }) => [key.name ?? key.pin, value.value]),
      ),
    }),
  };
}

/**
 * Returns the request of `--usbredir`.
 *
 * @throws {ConfigError} If a key is unknown or invalid.
 */
function usbredirRequest(text: string): UsbredirRequest {
  const position = {
    path: `--usbredir ${text}`,
    hint: "--usbredir device=ljca|cp2112[,connect=PATH]",
  };
  const request: UsbredirRequest = {};
  for (const item of text.split(",")) {
    const [key = "", value = ""] = item.split(/=(.*)/s);
    if (key !== "device" && key !== "connect") {
      throw new ConfigError(`unknown key "${key}"`, position);
    }
    if (value === "") throw new ConfigError(`"${key}" has no value`, position);
    if (request[key] !== undefined) {
      throw new ConfigError(`"${key}" is given twice`, position);
    }
    if (key === "device") request.device = readUsbDevice(value, position.path);
    else request.connect = absolutePath(value);
  }
  return request;
}
