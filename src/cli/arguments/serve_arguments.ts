/**
 * The command line of `gpioagg serve`: every `--socket-path` or `--fd` begins
 * another aggregator, and its lines follow.
 *
 * @module
 */
import type { RecordSpecification } from "../../config/specification.ts";
import { RECORD } from "../../config/values/record.ts";
import {
  EXPOSURE_OPTIONS,
  presentExposures,
} from "../../config/checks/exposures.ts";
import { checkAggregators } from "../../config/spec/command_line.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { POLL, POLL_SHARE } from "../../config/values/polling.ts";
import { AGGREGATOR_NAME, PAUSED_FOR } from "../../config/values/values.ts";
import {
  type AggregatorSpecification,
  type LineSpecification,
  MAX_LINES,
  type VfioUserSpecification,
  type VhostUserSpecification,
} from "../../config/specification.ts";
import type { ApiSocket } from "../../service/api/server.ts";
import {
  absoluteExposure,
  absolutePath,
  absoluteSocketPath,
} from "./absolute_path.ts";
import { parseArgument, readArguments } from "./arguments.ts";
import { readQemuPins, withLines } from "./qemu_pins_argument.ts";
import { checkStandby, checkUnique } from "./serve_checks.ts";
import { readUsbredir } from "./usbredir_argument.ts";
import { readSocketPlace } from "./socket_place.ts";
import { HELP_OPTION, type Options } from "../usage/usage.ts";

/** Settings of `serve`. */
export interface ServeArguments {
  help: boolean;
  json: boolean;
  printCapabilities: boolean;
  aggregators: AggregatorSpecification[];
  /** The configuration file of the aggregators. */
  config: string | undefined;
  /** The control API's socket for changes. */
  api: ApiSocket | undefined;
  /** The control API's look-only socket. */
  apiLook: ApiSocket | undefined;
  /** Directory of the sockets of aggregators that clients create. */
  apiSockets: ApiSocket | undefined;
  /** Directories of QEMU sockets that clients of the control API may name. */
  apiQemuSockets: string[];
  /** File to which the audit log is appended. */
  auditLog: string | undefined;
  /** Record of edges. */
  record: RecordSpecification | undefined;
  /** A spare process shall take over from the service. */
  standby: boolean;
}

const HOW = "gpioagg serve --socket-path PATH --line SPEC...";

type Exposure = Pick<
  AggregatorSpecification,
  "vhostUser" | "qemuPins" | "vfioUser" | "usbredir"
>;

/** Options that begin an aggregator, and those that describe it. */
export const AGGREGATOR_OPTIONS = {
  "socket-path": {
    kind: "value",
    value: "PATH",
    help: "listen there; PATH.control is for gpioagg sim",
    completes: "socket",
  },
  fd: {
    kind: "value",
    value: "N",
    help:
      "use the inherited socket N instead, listening or connected; when a " +
      "connected one ends, so does serve",
  },
  "qemu-pins": {
    kind: "value",
    value: "qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]",
    help: "present the lines as pins of a controller (pl061) that a QEMU " +
      "emulates; PIN is a number, or gpioB0 on an Aspeed, and gets the line " +
      "NAME (default: pin 0 the first line, …). Both are sockets of QEMU: " +
      "-qtest unix:PATH,server=on,wait=off -qtest-log none " +
      "-qmp unix:PATH,server=on,wait=off; access to them is full control of " +
      "the VM: keep them private",
  },
  "vfio-user": {
    kind: "value",
    value: "PATH",
    help: "present the lines as a PCI card (ML7213 IOH, up to 109 lines) to " +
      "QEMU 10.1 and newer, which connects there",
    completes: "socket",
  },
  usbredir: {
    kind: "value",
    value: "PATH[,device=ljca|cp2112][,connect]",
    help: "present the lines as GPIO adapters on USB to any QEMU (-device " +
      "usb-redir), which connects there, or with connect listens there; ljca " +
      "(Linux 6.7 and newer, x86-64): up to 64 lines; cp2112: 8 lines each, at " +
      "PATH, PATH.1, …",
    completes: "adapter-socket",
  },
  line: {
    kind: "values",
    value: "SPEC",
    help: "add lines, in the order of the guest's line numbers",
    completes: "spec",
  },
  name: {
    kind: "value",
    value: "NAME",
    help: "its name in messages (default: the socket's name)",
  },
  isolate: {
    kind: "flag",
    help: "serve this aggregator in a process of its own; before any " +
      "--socket-path: each of them",
  },
  poll: {
    kind: "value",
    value: "PERIOD",
    help: "look at a vhost-user guest's rings for this long after a request, " +
      "instead of waiting for its next one: 50us (0: never); before any " +
      "--socket-path: of each",
  },
  "poll-share": {
    kind: "value",
    value: "PERCENT",
    help: "part of a CPU that --poll takes at most (50%)",
  },
  "paused-for": {
    kind: "value",
    value: "PERIOD",
    help:
      "time that a stopped vhost-user driver counts as paused; after that " +
      "its guest counts as gone (3s); keep: no limit",
    completes: ["keep"],
  },
} as const satisfies Options;

/** Options of `serve`. */
export const SERVE_OPTIONS = {
  ...AGGREGATOR_OPTIONS,
  "socket-path": {
    ...AGGREGATOR_OPTIONS["socket-path"],
    heading:
      `Every --socket-path, --fd, --qemu-pins, --vfio-user or --usbredir begins another
aggregator:`,
  },
  config: {
    kind: "value",
    value: "FILE",
    help:
      "serve the aggregators of FILE (gpioagg check FILE, gpioagg schema); " +
      "SIGHUP or gpioagg reload reads it again; its api: is overridden by the " +
      "options below",
    heading: "Or with a configuration file:",
    completes: "file",
  },
  json: {
    kind: "flag",
    help: "one JSON object a line on standard output: ready, connected, " +
      "disconnected, started, stopped, gone, waiting, fault, refused, silent, " +
      "enforced, unplugged, plugged, reloaded, problem, lost (count)",
    heading: "Anywhere:",
  },
  api: {
    kind: "value",
    value: "PATH",
    help: "serve a control API: gpioagg create, list, watch, …",
    completes: "socket",
  },
  "api-look": {
    kind: "value",
    value: "PATH",
    help: "a second, read-only socket of it",
    completes: "socket",
  },
  "api-sockets": {
    kind: "value",
    value: "DIR",
    help: "directory of created aggregators' sockets (beside the API's)",
    completes: "directory",
  },
  "api-qemu-sockets": {
    kind: "values",
    value: "DIR",
    help:
      "allow clients to use QEMU sockets below DIR, as create --qemu-pins " +
      "and --usbredir connect= do (none); may be repeated",
    completes: "directory",
  },
  "audit-log": {
    kind: "value",
    value: "FILE",
    help:
      "append all changes through the API, as JSON lines (standard error; " +
      "also when FILE cannot be written)",
    completes: "file",
  },
  record: {
    kind: "value",
    value: "WHAT",
    help: "edges that the control API can tell of later: off, a number " +
      "(1000000), inputs (those that no guest watches too), or NUMBER,inputs",
    completes: ["off", "inputs", "1000000", "1000000,inputs"],
  },
  standby: {
    kind: "flag",
    help: "keep a spare process that takes over soon when this " +
      "restarts (SIGUSR1) or crashes; costs the memory of two more processes",
  },
  "print-capabilities": {
    kind: "flag",
    help: "print the vhost-user capabilities, as JSON",
  },
  help: HELP_OPTION,
} as const satisfies Options;

/** @throws {ConfigError} If it is not a valid record of edges. */
function readRecord(text: string): RecordSpecification {
  const reading = RECORD.read(text);
  if ("value" in reading) return reading.value;
  throw new ConfigError(`"${text}" ${reading.problem}`, {
    path: "--record",
    hint: reading.hint ?? "",
  });
}

/**
 * Reads the options of `serve`, or of another command that takes them.
 *
 * @param how Correct usage of that command, for hints.
 * @throws {ConfigError} If they are invalid or contradictory.
 */
export function readServeArguments(
  args: readonly string[],
  how: string = HOW,
): ServeArguments {
  const aggregators: AggregatorSpecification[] = [];
  const result: ServeArguments = {
    help: false,
    json: false,
    printCapabilities: false,
    aggregators,
    config: undefined,
    api: undefined,
    apiLook: undefined,
    apiSockets: undefined,
    apiQemuSockets: [],
    auditLog: undefined,
    record: undefined,
    standby: false,
  };
  if (args.includes("--help") || args.includes("-h")) {
    return { ...result, help: true, aggregators };
  }
  // Before any socket it applies to all of them.
  let isolatesAll = false;
  let polls: Polling = {};
  for (const group of groupsOf(args)) {
    const given = readArguments(group, SERVE_OPTIONS);
    result.json ||= given.json;
    result.standby ||= given.standby;
    result.printCapabilities ||= given["print-capabilities"];
    const place = (
      name: "api" | "api-look" | "api-sockets",
      whole: (path: string) => string,
    ) => {
      if (given[name] === undefined) return undefined;
      const { path, access } = readSocketPlace(
        given[name],
        `--${name}`,
        { isDirectory: name === "api-sockets" },
      );
      return { path: whole(path), access };
    };
    result.api ??= place("api", absoluteSocketPath);
    result.apiLook ??= place("api-look", absoluteSocketPath);
    result.apiSockets ??= place("api-sockets", absolutePath);
    for (const directory of given["api-qemu-sockets"]) {
      result.apiQemuSockets.push(absolutePath(directory));
    }
    result.auditLog ??= given["audit-log"];
    if (given.record !== undefined) {
      result.record ??= readRecord(given.record);
    }
    result.config ??= given.config;
    const [stray] = given.rest;
    if (stray !== undefined) {
      throw new ConfigError(`unexpected argument "${stray}"`, {
        hint: how,
      });
    }
    const aggregator = readAggregator(given, how);
    const polling = readPolling(given.poll, given["poll-share"]);
    if (aggregator === undefined) {
      isolatesAll ||= given.isolate;
      polls = { ...polls, ...polling };
    } else {
      aggregators.push({
        ...(aggregator.vhostUser === undefined ? {} : polls),
        ...aggregator,
        ...polling,
        ...(isolatesAll ? { isolate: "process" } : {}),
      });
    }
  }
  if (result.config !== undefined && isolatesAll) {
    throw new ConfigError("applies to aggregators on the command line only", {
      path: "--isolate",
      hint: "Add isolate: process to the file",
    });
  }
  if (result.config !== undefined && Object.keys(polls).length > 0) {
    throw new ConfigError("applies to aggregators on the command line only", {
      path: "--poll",
      hint: "Add poll: 50us to the file",
    });
  }
  if (result.standby) checkStandby(result.config, aggregators);
  checkUnique(aggregators);
  if (result.config !== undefined && aggregators.length > 0) {
    throw new ConfigError(
      "cannot be combined with aggregators on the command line",
      {
        path: `--config ${result.config}`,
        hint: "Add them to the file",
      },
    );
  }
  return {
    ...result,
    aggregators: [...checkAggregators(aggregators).aggregators],
  };
}

/** Splits the command line before each option that begins an aggregator. */
function groupsOf(args: readonly string[]): string[][] {
  const groups: string[][] = [[]];
  for (const arg of args) {
    const [option = ""] = arg.split("=", 1);
    if (EXPOSURE_OPTIONS.includes(option)) groups.push([]);
    groups.at(-1)!.push(arg);
  }
  return groups;
}

function readAggregator(given: {
  "socket-path": string | undefined;
  "fd": string | undefined;
  "qemu-pins": string | undefined;
  "vfio-user": string | undefined;
  "usbredir": string | undefined;
  "name": string | undefined;
  "line": string[];
  "paused-for": string | undefined;
  "isolate": boolean;
}, how: string): AggregatorSpecification | undefined {
  const lines = readLines(given.line);
  const vhostUser = exposureOf(given["socket-path"], given.fd);
  const exposure: Exposure | undefined = vhostUser !== undefined
    ? { vhostUser }
    : given["qemu-pins"] !== undefined
    ? { qemuPins: withLines(readQemuPins(given["qemu-pins"]), lines) }
    : given["vfio-user"] !== undefined
    ? { vfioUser: socketAt(given["vfio-user"], "--vfio-user") }
    : given.usbredir !== undefined
    ? { usbredir: readUsbredir(given.usbredir) }
    : undefined;
  if (exposure === undefined) {
    const [early] = given.line;
    const pausedFor = given["paused-for"];
    const stray = early !== undefined
      ? `--line ${early}`
      : given.name !== undefined
      ? `--name ${given.name}`
      : pausedFor !== undefined
      ? `--paused-for ${pausedFor}`
      : undefined;
    if (stray !== undefined) {
      throw new ConfigError(
        `must come after a ${EXPOSURE_OPTIONS.slice(0, -1).join(", ")} or ${
          EXPOSURE_OPTIONS.at(-1)
        }`,
        {
          path: stray,
          hint: `The lines follow their socket: ${how}`,
        },
      );
    }
    return undefined;
  }
  const { argument, defaultName } = presentExposures(exposure)[0]!;
  if (lines.length === 0) {
    throw new ConfigError("has no lines", {
      path: argument,
      hint: `Give it lines: ${how}; sim/8 makes eight simulated ones`,
    });
  }
  if (lines.length > MAX_LINES) {
    throw new ConfigError(
      `has ${lines.length} lines, but a virtio-gpio device has at most ${MAX_LINES}`,
      { path: argument },
    );
  }
  return {
    name: given.name === undefined
      ? defaultName
      : parseArgument(AGGREGATOR_NAME, given.name, "--name"),
    ...absoluteExposure(exposure),
    ...readPausedFor(given["paused-for"]),
    ...(given.isolate ? { isolate: "process" as const } : {}),
    lines,
  };
}

type Polling = Pick<AggregatorSpecification, "pollUs" | "pollShare">;

function readPolling(
  poll: string | undefined,
  share: string | undefined,
): Polling {
  return {
    ...(poll === undefined
      ? {}
      : { pollUs: parseArgument(POLL, poll, "--poll") }),
    ...(share === undefined
      ? {}
      : { pollShare: parseArgument(POLL_SHARE, share, "--poll-share") }),
  };
}

function readPausedFor(
  text: string | undefined,
): Pick<AggregatorSpecification, "pausedForUs"> {
  return text === undefined
    ? {}
    : { pausedForUs: parseArgument(PAUSED_FOR, text, "--paused-for") };
}

/**
 * Reads SPECs, the lines of one aggregator in order.
 *
 * @throws {ConfigError} If one is invalid.
 */
export function readLines(specs: readonly string[]): LineSpecification[] {
  const lines: LineSpecification[] = [];
  let simCount = 0;
  for (const spec of specs) {
    // One by one: spreading 65,535 arguments would exhaust the stack.
    for (const line of parseLineSpec(spec, simCount)) {
      lines.push(line);
      if (line.source.kind === "sim") simCount++;
    }
  }
  return lines;
}

function exposureOf(
  socketPath: string | undefined,
  fd: string | undefined,
): VhostUserSpecification | undefined {
  if (socketPath !== undefined) {
    return socketAt(socketPath, "--socket-path");
  }
  if (fd === undefined) return undefined;
  if (!/^\d+$/.test(fd)) {
    throw new ConfigError("is not a valid file descriptor number", {
      path: `--fd ${fd}`,
      hint: "Give the number of an open socket that this process inherited",
    });
  }
  return { fd: Number(fd) };
}

function socketAt(text: string, key: string): VfioUserSpecification {
  const { path, access } = readSocketPlace(text, key);
  return Object.keys(access).length === 0
    ? { socketPath: path }
    : { socketPath: path, access };
}
