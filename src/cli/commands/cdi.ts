/**
 * `gpioagg cdi`: describes aggregators as devices that container engines can
 * name.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { splitPath } from "../../../ffi/trusted_path.ts";
import { replaceFile } from "../../../ffi/whole_file.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { SharedDirectories } from "../../service/sockets/shared_directories.ts";
import { listChipNodes } from "../../gpio/chip_nodes.ts";
import {
  type InventoryChip,
  listInventory,
} from "../../kernel_chip/inventory.ts";
import { visibleRecords } from "../../kernel_chip/records.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { NotThereError } from "../not_there.ts";
import { selectClients } from "../service_client.ts";
import {
  type ReportedAggregator,
  serviceUser,
  socketProblem,
} from "../reported_socket.ts";
import { printableJson } from "../../text/printable.ts";

/** Paths that mean standard output, which must not be replaced by a file. */
const STANDARD_OUTPUT: ReadonlySet<string> = new Set([
  "-",
  "/dev/stdout",
  "/dev/fd/1",
  "/proc/self/fd/1",
]);
/** File systems of the kernel, and devices: no file is replaced there. */
const NO_FILES = /^\/(dev|proc|sys)\//;
/** Version of the CDI specification. */
const CDI_VERSION = "0.5.0";
/** Kind of the devices: `gpioagg/aggregator=plc0`. */
const KIND = "gpioagg/aggregator";
/** Directory of the sockets in a container. */
const IN_CONTAINER = "/run/gpioagg";

/** A CDI specification, as far as it is used here. */
export interface CdiSpecification {
  cdiVersion: string;
  kind: string;
  devices: CdiDevice[];
}

/** One device, and its edits of a container. */
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
  /** As on the host: without them engines grant access to all. */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/** The command line. */
export const USAGE = {
  name: "cdi",
  synopsis: ["[--output FILE] [--kernel-only]"],
  about:
    `Prints a CDI specification (Container Device Interface), by which Podman,
containerd and Kubernetes give aggregators to containers by name:

  gpioagg cdi --output /etc/cdi/gpioagg.json
  podman run --device ${KIND}=plc0 ...

A container gets the vhost-user socket of an aggregator of a running service at
${IN_CONTAINER}/NAME.sock, for a VMM inside; of a kernel chip (gpioagg create
--kernel-chip, gpioagg kernel create) it gets the device node, with the owner,
group and mode that it has here. $GPIOAGG_NAME has the path; its name is in
capitals, with _ for all but letters and digits. An aggregator that CDI cannot
name is left out, with a warning, and so is a file that is not a socket or the
node of a chip. An engine mounts with root's rights what it finds at a path
later: a socket is left out too if its service, or another user, could have
something else be there by then. Run it again when aggregators have been added
or removed, or the service was restarted.`,
  operands: [],
  options: {
    output: {
      kind: "value",
      value: "FILE",
      help: "write to FILE, atomically",
      completes: "file",
    },
    "kernel-only": {
      kind: "flag",
      help: "kernel chips only, without any service",
    },
    "trust-services": {
      kind: "flag",
      help: "also sockets that their services could exchange",
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg cdi [--output FILE]");
  const told = given["kernel-only"] ? [] : await listAll(given.api);
  const { aggregators, refused } = withoutForeignFiles(told, {
    areTrusted: given["trust-services"],
  });
  for (const warning of refused) writeError(warning);
  const { specification, warnings } = cdiSpecification(
    aggregators,
    listInventory(await visibleRecords()),
  );
  for (const warning of warnings) writeError(warning);
  const text = printableJson(specification, 2);
  const { output } = given;
  if (output === undefined || STANDARD_OUTPUT.has(output)) {
    writeOutput(text);
    return 0;
  }
  if (NO_FILES.test(output)) {
    throw new ConfigError("cannot be replaced by a file", {
      path: `--output ${output}`,
      hint: "Without --output it goes to standard output",
    });
  }
  surviveFileSizeLimit();
  try {
    // Engines may read the directory at any time: the file appears whole.
    replaceFile(output, `${text}\n`, 0o644);
  } catch (error) {
    if (!isOsError(error)) throw error;
    const { directory } = splitPath(output);
    const isMissing = isOsError(error, "ENOENT") &&
      fileStatus(directory) === undefined;
    throw new Error(
      `Cannot write ${output}: ` +
        (isMissing
          ? `directory ${directory} does not exist`
          : `${errnoText(error.errno)} (${error.code})`),
      { cause: error },
    );
  }
  return 0;
}

/**
 * Returns the aggregators of all services, or of the one that `--api` names.
 */
async function listAll(api: string | undefined): Promise<ReportedAggregator[]> {
  const lists = selectClients(api, "look").map(async ({ client }) => {
    const user = serviceUser(client.socketPath);
    return (await client.list()).map((state) => ({ state, user }));
  });
  return (await Promise.all(lists)).flat();
}

/**
 * Leaves out files that are not of the kind that their service states. An
 * engine passes files on with root's rights: a service, which has fewer, must
 * not obtain a disk for a container by calling it a chip, or the host's files
 * by a link.
 */
export function withoutForeignFiles(
  told: readonly ReportedAggregator[],
  { areTrusted = false, listNodes = listChipNodes }: {
    /** The services do not exchange their sockets for other files. */
    areTrusted?: boolean;
    /** Lists device nodes of GPIO chips. Default: this machine's. */
    listNodes?: () => readonly { path: string }[];
  } = {},
): { aggregators: AggregatorState[]; refused: string[] } {
  const refused: string[] = [];
  const shared = new SharedDirectories();
  const aggregators = told.filter(({ state, user }) => {
    const { name, socketPath, kernelChip } = state;
    const problem = (kernelChip?.present === true &&
        !isChipNode(kernelChip.path, listNodes())
      ? `${kernelChip.path} is not the device node of a GPIO chip`
      : undefined) ??
      (socketPath === undefined
        ? undefined
        : socketProblem(socketPath, areTrusted ? undefined : { user }));
    if (problem !== undefined) {
      refused.push(`"${name}" is left out: ${problem}`);
      return false;
    }
    if (socketPath?.startsWith("/")) {
      refused.push(
        ...shared.look([socketPath]).map(({ warning }) => warning),
      );
    }
    return true;
  });
  return { aggregators: aggregators.map(({ state }) => state), refused };
}

/**
 * Returns true for a path below /dev: at any other, which its service chose, the
 * engine could find another device than was looked at here.
 */
function isChipNode(path: string, nodes: readonly { path: string }[]): boolean {
  return nodes.some((node) => node.path === path);
}

/** Specification, and warnings about it. */
export interface CdiOutcome {
  specification: CdiSpecification;
  /**
   * Devices that are left out, with the reason, and ambiguous ones; one text
   * each.
   */
  warnings: string[];
}

/**
 * Returns the specification of aggregators with sockets or kernel chips, and of
 * chips of the host's own kernel that `gpioagg kernel` made. Devices that CDI
 * cannot name are left out, with a warning.
 *
 * @throws {NotThereError} If there is no aggregator.
 */
export function cdiSpecification(
  aggregators: readonly AggregatorState[],
  chips: readonly InventoryChip[],
): CdiOutcome {
  const all = listDevices(aggregators, chips);
  const warnings: string[] = [];
  const devices = all.filter((device) => {
    const problem = findProblem(device, all);
    if (problem !== undefined) {
      warnings.push(`"${device.name}" is left out: ${problem}`);
    }
    return problem === undefined;
  });
  if (devices.length === 0) {
    const hint = "Make one: gpioagg create, or gpioagg kernel create";
    throw new NotThereError(
      "There is no aggregator to describe",
      warnings.join("\n") || hint,
    );
  }
  return {
    specification: { cdiVersion: CDI_VERSION, kind: KIND, devices },
    warnings: [...new Set(warnings), ...sharedVariables(devices)],
  };
}

function listDevices(
  aggregators: readonly AggregatorState[],
  chips: readonly InventoryChip[],
): CdiDevice[] {
  const devices: CdiDevice[] = [];
  for (const { name, socketPath, kernelChip } of aggregators) {
    if (kernelChip?.present) devices.push(nodeDevice(name, kernelChip.path));
    if (socketPath !== undefined) devices.push(socketDevice(name, socketPath));
  }
  for (const { name, path } of chips) {
    // Only chips of gpioagg are described.
    if (name === "" || path === undefined) continue;
    // The service has described its own, which are among them on the same host.
    if (aggregators.some((one) => one.kernelChip?.path === path)) continue;
    devices.push(nodeDevice(name, path));
  }
  return devices;
}

/** Returns the reason why a device cannot be described, if any. */
function findProblem(
  { name, containerEdits }: CdiDevice,
  devices: readonly CdiDevice[],
): string | undefined {
  if (!/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(name)) {
    return "a CDI name must begin and end with a letter or digit";
  }
  // Either choice would give half of its users the wrong lines.
  if (devices.filter((other) => other.name === name).length > 1) {
    return "it is an aggregator of the service, and another kernel chip; " +
      "rename one of them";
  }
  const [mount] = containerEdits.mounts ?? [];
  if (mount !== undefined && !mount.hostPath.startsWith("/")) {
    return `its service knows only a relative path of its socket, ` +
      mount.hostPath;
  }
  return undefined;
}

/** Returns warnings about names that have the same environment variable. */
function sharedVariables(devices: readonly CdiDevice[]): string[] {
  const names = Map.groupBy(
    devices.map(({ name }) => name),
    (name) => variableName(name),
  );
  return [...names].filter(([, sharing]) => sharing.length > 1).map((
    [variable, sharing],
  ) =>
    `${
      sharing.map((name) => `"${name}"`).join(" and ")
    } have the same variable, ` +
    `${variable}: a container that gets both sees only one of them`
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

/**
 * Returns the environment variable that passes the device's path to a container.
 */
function variableName(name: string): string {
  return `GPIOAGG_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
}
