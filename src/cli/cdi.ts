/**
 * `gpioagg cdi`: aggregators as devices that a container engine knows by name.
 *
 * @module
 */
import { fileStatus } from "../../ffi/files.ts";
import type { AggregatorState } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import { type InventoryChip, listInventory } from "../kernel_chip/inventory.ts";
import { visibleRecords } from "../kernel_chip/records.ts";
import { noRest, readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";
import { API_HELP, clientOf } from "./service_client.ts";

/** Of the specification whose words are used here. */
const CDI_VERSION = "0.5.0";
/** What devices of ours are called: `gpioagg/aggregator=plc0`. */
const KIND = "gpioagg/aggregator";
/** Where a container finds the sockets. */
const IN_CONTAINER = "/run/gpioagg";

/** A CDI specification, as far as it is needed here. */
export interface CdiSpecification {
  cdiVersion: string;
  kind: string;
  devices: CdiDevice[];
}

/** One device, and what a container gets with it. */
export interface CdiDevice {
  name: string;
  annotations?: Record<string, string>;
  containerEdits: {
    deviceNodes?: CdiDeviceNode[];
    mounts?: { hostPath: string; containerPath: string; options: string[] }[];
    env?: string[];
  };
}

/** A device node inside the container. */
export interface CdiDeviceNode {
  path: string;
  permissions?: string;
  /** As on the host: without, engines make it everybody's. */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, {
    help: "flag",
    api: "value",
    output: "value",
    "kernel-only": "flag",
  });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  noRest(given, "gpioagg cdi [--output FILE]");
  const aggregators = given["kernel-only"]
    ? []
    : await clientOf(given.api).list();
  const { specification, warnings } = cdiSpecification(
    aggregators,
    listInventory(await visibleRecords()),
  );
  for (const warning of warnings) writeError(warning);
  const text = JSON.stringify(specification, undefined, 2);
  if (given.output === undefined) {
    writeOutput(text);
    return 0;
  }
  // Engines read the directory at any time: the file is there whole or not.
  const partial = `${given.output}.new`;
  Deno.writeTextFileSync(partial, `${text}\n`, { mode: 0o644 });
  Deno.renameSync(partial, given.output);
  return 0;
}

/** What is handed over, and what is to be known about it. */
export interface CdiOutcome {
  specification: CdiSpecification;
  /** What is left out and why, and what is ambiguous; a line each. */
  warnings: string[];
}

/**
 * The specification of aggregators with sockets or kernel chips, and of chips of
 * the host's kernel that gpioagg made beside any service. What CDI has no words
 * for is left out, with a warning.
 *
 * @throws {ConfigError} If there is nothing to hand over.
 */
export function cdiSpecification(
  aggregators: readonly AggregatorState[],
  chips: readonly InventoryChip[],
): CdiOutcome {
  const all = devicesOf(aggregators, chips);
  const warnings: string[] = [];
  const devices = all.filter((device) => {
    const problem = problemOf(device, all);
    if (problem !== undefined) {
      warnings.push(`"${device.name}" is left out: ${problem}`);
    }
    return problem === undefined;
  });
  if (devices.length === 0) {
    const hint = "Make one: gpioagg create, or gpioagg kernel create";
    throw new ConfigError("there is no aggregator to hand over", {
      hint: warnings.join("\n") || hint,
    });
  }
  return {
    specification: { cdiVersion: CDI_VERSION, kind: KIND, devices },
    warnings: [...new Set(warnings), ...sharedVariables(devices)],
  };
}

function devicesOf(
  aggregators: readonly AggregatorState[],
  chips: readonly InventoryChip[],
): CdiDevice[] {
  const devices: CdiDevice[] = [];
  for (const { name, socketPath, kernelChip } of aggregators) {
    if (kernelChip?.present) devices.push(nodeDevice(name, kernelChip.path));
    if (socketPath !== undefined) devices.push(socketDevice(name, socketPath));
  }
  for (const { name, path } of chips) {
    // Chips that others made are theirs to give away.
    if (name === "" || path === undefined) continue;
    // The service told of its own, which are among them where it runs here.
    if (aggregators.some((one) => one.kernelChip?.path === path)) continue;
    devices.push(nodeDevice(name, path));
  }
  return devices;
}

/** Why a device cannot be handed over, if it cannot. */
function problemOf(
  { name, containerEdits }: CdiDevice,
  devices: readonly CdiDevice[],
): string | undefined {
  if (!/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(name)) {
    return "a CDI name begins and ends with a letter or digit";
  }
  // Whichever it meant, half of its users would get the wrong lines.
  if (devices.filter((other) => other.name === name).length > 1) {
    return "it is an aggregator of the service, and another kernel chip; " +
      "rename one of them";
  }
  const [mount] = containerEdits.mounts ?? [];
  if (mount !== undefined && !mount.hostPath.startsWith("/")) {
    return `its service does not know its socket's whole path, but only ` +
      mount.hostPath;
  }
  return undefined;
}

/** Names that differ only in what a variable's name cannot say. */
function sharedVariables(devices: readonly CdiDevice[]): string[] {
  const names = Map.groupBy(
    devices.map(({ name }) => name),
    (name) => variableName(name),
  );
  return [...names].filter(([, sharing]) => sharing.length > 1).map((
    [variable, sharing],
  ) =>
    `${sharing.map((name) => `"${name}"`).join(" and ")} have one variable, ` +
    `${variable}: in a container that gets both, it tells of one of them`
  );
}

/** A vhost-user socket. */
function socketDevice(name: string, hostPath: string): CdiDevice {
  const inside = `${IN_CONTAINER}/${name}.sock`;
  return {
    name,
    containerEdits: {
      mounts: [{
        hostPath,
        containerPath: inside,
        options: ["rw", "nosuid", "nodev", "noexec", "bind"],
      }],
      env: [`${variableName(name)}=${inside}`],
    },
  };
}

/** A chip of the host's kernel. */
function nodeDevice(name: string, path: string): CdiDevice {
  const status = fileStatus(path);
  const access = status === undefined
    ? {}
    : { fileMode: status.mode, uid: status.uid, gid: status.gid };
  return {
    name,
    containerEdits: {
      deviceNodes: [{ path, permissions: "rw", ...access }],
      env: [`${variableName(name)}=${path}`],
    },
  };
}

/** The environment variable that tells a container where to look. */
function variableName(name: string): string {
  return `GPIOAGG_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
}

const HELP = `Usage: gpioagg cdi [--output FILE] [--kernel-only]

Prints a CDI specification (Container Device Interface), by which Podman,
containerd and Kubernetes hand aggregators to containers by name:

  gpioagg cdi --output /etc/cdi/gpioagg.json
  podman run --device ${KIND}=plc0 ...

A container gets the vhost-user socket of an aggregator of a running service at
${IN_CONTAINER}/NAME.sock, for a VMM inside; of a kernel chip (gpioagg create
--kernel-chip, gpioagg kernel create) it gets the device node, with the owner,
group and mode that it has here. $GPIOAGG_NAME says where: in capitals, with _
for all but letters and digits. What CDI cannot name is left out, with a warning.
Run it again when aggregators have come or gone, or the service was started anew.

  --output FILE  write there, whole or not at all
  --kernel-only  ask no service: kernel chips only
${API_HELP}
  -h, --help     this text`;
