/**
 * `gpioagg create`: an aggregator that lives as long as this command.
 *
 * @module
 */
import { ServiceError } from "../client/client.ts";
import type {
  AggregatorState,
  CreateRequest,
  KernelChipRequest,
  QemuPinsRequest,
} from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import { absolutePath } from "./absolute_path.ts";
import { placeOf } from "./aggregator_text.ts";
import { readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";
import { readQemuPins } from "./qemu_pins_argument.ts";
import { API_HELP, clientOf } from "./service_client.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const { kernelChip, rest } = takeKernelChip(args);
  const given = readArguments(rest, {
    help: "flag",
    json: "flag",
    detach: "flag",
    api: "value",
    line: "values",
    "qemu-pins": "value",
    mode: "value",
    owner: "value",
    group: "value",
  });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const [name, ...others] = given.rest;
  if (name === undefined || others.length > 0 || given.line.length === 0) {
    throw new ConfigError("needs one NAME, and lines", {
      hint: "gpioagg create NAME --line SPEC...",
    });
  }
  const request: Omit<CreateRequest, "lease"> = {
    name,
    lines: given.line,
    ...exposureOf(given, kernelChip),
  };
  const tell = (state: AggregatorState) =>
    writeOutput(given.json ? JSON.stringify(state) : placeOf(state) ?? name);
  const client = clientOf(given.api);
  if (given.detach) {
    tell(await client.createLasting(request).catch(refused));
    return 0;
  }
  await using lease = await client.create(request).catch(refused);
  const told = Promise.withResolvers<void>();
  const onSignal = () => told.resolve();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    tell(lease.state);
    const reason = await Promise.race([lease.ended, told.promise]);
    if (reason === undefined) return 0;
    writeError(`${name} is gone: ${reason}`);
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

/** @throws {ConfigError} If it was the command line that a service refused. */
function refused(error: unknown): never {
  if (!(error instanceof ServiceError) || error.status !== 400) throw error;
  const { message, hint } = error;
  throw new ConfigError(message, { hint, cause: error });
}

/** `--kernel-chip[=INTERFACE]`, wherever it stands, and what is left. */
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
      chosen !== undefined && chosen !== "configfs" && chosen !== "sysfs"
    ) {
      throw new ConfigError(`"${chosen}" is no interface`, {
        path: "--kernel-chip",
        hint: "configfs (Linux 6.16 and newer) or sysfs (5.8 and newer)",
      });
    }
    kernelChip = chosen === undefined ? {} : { interface: chosen };
  }
  return { kernelChip, rest };
}

/** How it is to be presented, as the service is told. */
function exposureOf(
  { "qemu-pins": pins, mode, owner, group }: {
    "qemu-pins": string | undefined;
    mode: string | undefined;
    owner: string | undefined;
    group: string | undefined;
  },
  kernelChip: KernelChipRequest | undefined,
): Pick<CreateRequest, "socket" | "kernelChip" | "qemuPins"> {
  const access = {
    ...(mode === undefined ? {} : { mode }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
  };
  if (pins === undefined) {
    return kernelChip === undefined
      ? { socket: access }
      : { kernelChip: { ...kernelChip, ...access } };
  }
  if (kernelChip !== undefined) {
    throw new ConfigError("--kernel-chip presents the lines already", {
      path: "--qemu-pins",
      hint: "A line has one master: make two aggregators",
    });
  }
  const [key] = Object.keys(access);
  if (key !== undefined) {
    throw new ConfigError("is for a vhost-user socket or a kernel chip", {
      path: `--${key}`,
      hint: "QEMU's sockets are QEMU's: set who may use them there",
    });
  }
  return { qemuPins: pinsRequest(pins) };
}

/** What `--qemu-pins` says, for a service that runs in another directory. */
function pinsRequest(text: string): QemuPinsRequest {
  const { qtest, qmp, device, index, pins } = readQemuPins(text);
  return {
    qtest: absolutePath(qtest),
    qmp: absolutePath(qmp),
    device,
    ...(index === undefined ? {} : { index }),
    ...(pins === undefined ? {} : { pins: { ...pins } }),
  };
}

const HELP =
  `Usage: gpioagg create NAME --line SPEC... [--detach] [--kernel-chip[=HOW]]
                      [--qemu-pins qtest=PATH,qmp=PATH[,device=TYPE]...]

Makes an aggregator in a running service (gpioagg serve --api PATH) and prints
what to give to its user: its vhost-user socket, or its device node, or QEMU's
qtest socket. It lives as long as this command: when that ends, however it ends,
the guest is disconnected, the lines get their safe state and are released, and
the socket, or the chip, is removed.

  --line SPEC  add lines, as for gpioagg serve
  --kernel-chip, --kernel-chip=configfs, --kernel-chip=sysfs
               be a chip of the service's host, /dev/gpiochipN, instead of a
               vhost-user device; its lines have no rules
  --qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]
               be the pins of a controller (pl061) that a QEMU emulates instead
  --detach     return at once; it lives until gpioagg remove, or the service's
               end
  --mode MODE, --owner USER, --group GROUP
               who may use the socket, or the device node
  --json       tell all about it, as one JSON object
${API_HELP}
  -h, --help   this text`;
