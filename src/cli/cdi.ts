/**
 * `gpioagg cdi`: aggregators as devices that a container engine knows by name.
 *
 * @module
 */
import { fileStatus } from "../../ffi/files.ts";
import type { AggregatorState } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import { type InventoryChip, listInventory } from "../kernel_chip/inventory.ts";
import { Records } from "../kernel_chip/records.ts";
import { noRest, readArguments } from "./arguments.ts";
import { writeOutput } from "./output.ts";
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
  const text = JSON.stringify(
    cdiSpecification(aggregators, listInventory(await new Records().list())),
    undefined,
    2,
  );
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

/**
 * The specification of aggregators with sockets or kernel chips, and of chips of
 * the host's kernel that gpioagg made beside any service.
 *
 * @throws {ConfigError} If there is none of either, or one has a name that CDI
 * does not take.
 */
export function cdiSpecification(
  aggregators: readonly AggregatorState[],
  chips: readonly InventoryChip[],
): CdiSpecification {
  const devices: CdiDevice[] = [];
  for (const { name, socketPath, kernelChip } of aggregators) {
    if (kernelChip?.present) devices.push(nodeDevice(name, kernelChip.path));
    if (socketPath === undefined) continue;
    const inside = `${IN_CONTAINER}/${name}.sock`;
    devices.push({
      name: deviceName(name),
      containerEdits: {
        mounts: [{
          hostPath: socketPath,
          containerPath: inside,
          options: ["rw", "nosuid", "nodev", "noexec", "bind"],
        }],
        env: [`${variableName(name)}=${inside}`],
      },
    });
  }
  for (const { name, path } of chips) {
    // Chips that others made are theirs to give away.
    if (name === "" || path === undefined) continue;
    // The service told of its own, which are among them where it runs here.
    if (aggregators.some((one) => one.kernelChip?.path === path)) continue;
    devices.push(nodeDevice(name, path));
  }
  if (devices.length === 0) {
    throw new ConfigError("there is no aggregator to hand over", {
      hint: "Make one: gpioagg create, or gpioagg kernel create",
    });
  }
  const names = new Set<string>();
  for (const { name } of devices) {
    if (names.has(name)) {
      throw new ConfigError(
        `"${name}" is an aggregator of the service, and another kernel chip`,
        { hint: "Rename one of them: a device name stands for one thing" },
      );
    }
    names.add(name);
  }
  return { cdiVersion: CDI_VERSION, kind: KIND, devices };
}

/** A chip of the host's kernel. */
function nodeDevice(name: string, path: string): CdiDevice {
  const status = fileStatus(path);
  const access = status === undefined
    ? {}
    : { fileMode: status.mode, uid: status.uid, gid: status.gid };
  return {
    name: deviceName(name),
    containerEdits: {
      deviceNodes: [{ path, permissions: "rw", ...access }],
      env: [`${variableName(name)}=${path}`],
    },
  };
}

function deviceName(name: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(name)) return name;
  throw new ConfigError(`"${name}" cannot be a device's name`, {
    hint: "CDI names begin and end with a letter or digit",
  });
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
group and mode that it has here. $GPIOAGG_NAME says where. Run it again when aggregators have come or gone, or the service was
started anew.

  --output FILE  write there, whole or not at all
  --kernel-only  ask no service: kernel chips only
${API_HELP}
  -h, --help     this text`;
