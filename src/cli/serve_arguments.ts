/**
 * The command line of `gpioagg serve`: every `--socket-path` or `--fd` begins
 * another aggregator, whose lines follow it.
 *
 * @module
 */
import { checkAggregators } from "../config/command_line.ts";
import { ConfigError } from "../config/config_error.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import {
  type AggregatorSpecification,
  type LineSpecification,
  MAX_LINES,
  type VhostUserSpecification,
} from "../config/specification.ts";
import type { ApiSocket } from "../daemon/api/server.ts";
import {
  absoluteExposure,
  absolutePath,
  absoluteSocketPath,
} from "./absolute_path.ts";
import { readArguments } from "./arguments.ts";
import { readQemuPins, withLines } from "./qemu_pins_argument.ts";
import { readSocketPlace } from "./socket_place.ts";

/** What `serve` was asked for. */
export interface ServeArguments {
  help: boolean;
  json: boolean;
  printCapabilities: boolean;
  aggregators: AggregatorSpecification[];
  /** The configuration file that the aggregators come from instead. */
  config: string | undefined;
  /** The control API's socket for changes. */
  api: ApiSocket | undefined;
  /** The control API's socket for those who may only look. */
  apiLook: ApiSocket | undefined;
  /** The directory for sockets of aggregators made through the control API. */
  apiSockets: ApiSocket | undefined;
  /** File that the audit log is appended to. */
  auditLog: string | undefined;
}

const HOW = "gpioagg serve --socket-path PATH --line SPEC...";

type Exposure = Pick<AggregatorSpecification, "vhostUser" | "qemuPins">;

const SWITCHES = {
  "help": "flag",
  "json": "flag",
  "print-capabilities": "flag",
  "config": "value",
  "socket-path": "value",
  "fd": "value",
  "qemu-pins": "value",
  "name": "value",
  "line": "values",
  "api": "value",
  "api-look": "value",
  "api-sockets": "value",
  "audit-log": "value",
} as const;

/**
 * Reads the switches of `serve`.
 *
 * @throws {ConfigError} If they are wrong, or contradict each other.
 */
export function readServeArguments(args: readonly string[]): ServeArguments {
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
    auditLog: undefined,
  };
  if (args.includes("--help") || args.includes("-h")) {
    return { ...result, help: true, aggregators };
  }
  for (const group of groupsOf(args)) {
    const given = readArguments(group, SWITCHES);
    result.json ||= given.json;
    result.printCapabilities ||= given["print-capabilities"];
    const place = (
      name: "api" | "api-look" | "api-sockets",
      whole: (path: string) => string,
    ) => {
      if (given[name] === undefined) return undefined;
      const { path, access } = readSocketPlace(given[name], `--${name}`);
      return { path: whole(path), access };
    };
    result.api ??= place("api", absoluteSocketPath);
    result.apiLook ??= place("api-look", absoluteSocketPath);
    result.apiSockets ??= place("api-sockets", absolutePath);
    result.auditLog ??= given["audit-log"];
    result.config ??= given.config;
    const [stray] = given.rest;
    if (stray !== undefined) {
      throw new ConfigError(`cannot take the argument "${stray}"`, {
        hint: HOW,
      });
    }
    const aggregator = readAggregator(given);
    if (aggregator !== undefined) aggregators.push(aggregator);
  }
  checkUnique(aggregators);
  if (result.config !== undefined && aggregators.length > 0) {
    throw new ConfigError(
      "leaves no room for aggregators on the command line",
      {
        path: `--config ${result.config}`,
        hint: "Write them into the file as well",
      },
    );
  }
  return {
    ...result,
    aggregators: [...checkAggregators(aggregators).aggregators],
  };
}

/** Cuts the command line before each switch that begins an aggregator. */
function groupsOf(args: readonly string[]): string[][] {
  const groups: string[][] = [[]];
  for (const arg of args) {
    if (/^--(socket-path|fd|qemu-pins)(=|$)/.test(arg)) groups.push([]);
    groups.at(-1)!.push(arg);
  }
  return groups;
}

function readAggregator(given: {
  "socket-path": string | undefined;
  "fd": string | undefined;
  "qemu-pins": string | undefined;
  "name": string | undefined;
  "line": string[];
}): AggregatorSpecification | undefined {
  const lines = readLines(given.line);
  const vhostUser = exposureOf(given["socket-path"], given.fd);
  const exposure: Exposure | undefined = vhostUser !== undefined
    ? { vhostUser }
    : given["qemu-pins"] !== undefined
    ? { qemuPins: withLines(readQemuPins(given["qemu-pins"]), lines) }
    : undefined;
  if (exposure === undefined) {
    const [early] = given.line;
    if (early !== undefined || given.name !== undefined) {
      throw new ConfigError(
        "stands before any --socket-path, --fd or --qemu-pins",
        {
          path: early === undefined
            ? `--name ${given.name}`
            : `--line ${early}`,
          hint: `The lines follow their socket: ${HOW}`,
        },
      );
    }
    return undefined;
  }
  const { endpoint, title } = exposureTitle(exposure);
  if (lines.length === 0) {
    throw new ConfigError("has no lines", {
      path: endpoint,
      hint: `Give it lines: ${HOW}; sim/8 makes eight simulated ones`,
    });
  }
  if (lines.length > MAX_LINES) {
    throw new ConfigError(
      `has ${lines.length} lines, but a virtio-gpio device has at most ${MAX_LINES}`,
      { path: endpoint },
    );
  }
  return { name: given.name ?? title, ...absoluteExposure(exposure), lines };
}

function readLines(specs: readonly string[]): LineSpecification[] {
  const lines: LineSpecification[] = [];
  for (const spec of specs) {
    const simCount = lines.filter(({ source }) => source.kind === "sim").length;
    // One by one: a spread of 65,535 arguments would exhaust the stack.
    for (const line of parseLineSpec(spec, simCount)) lines.push(line);
  }
  return lines;
}

function exposureOf(
  socketPath: string | undefined,
  fd: string | undefined,
): VhostUserSpecification | undefined {
  if (socketPath !== undefined) {
    const { path, access } = readSocketPlace(socketPath, "--socket-path");
    return Object.keys(access).length === 0
      ? { socketPath: path }
      : { socketPath: path, access };
  }
  if (fd === undefined) return undefined;
  if (!/^\d+$/.test(fd)) {
    throw new ConfigError("is no file descriptor number", {
      path: `--fd ${fd}`,
      hint: "Give the number of an open socket that this process inherited",
    });
  }
  return { fd: Number(fd) };
}

function exposureTitle(
  { vhostUser, qemuPins }: Partial<AggregatorSpecification>,
): { endpoint: string; title: string } {
  if (qemuPins !== undefined) {
    const { qtest, device } = qemuPins;
    return {
      endpoint: `--qemu-pins qtest=${qtest}`,
      title: device.slice(device.lastIndexOf("/") + 1),
    };
  }
  if (vhostUser === undefined) return { endpoint: "", title: "" };
  if ("fd" in vhostUser) {
    return { endpoint: `--fd ${vhostUser.fd}`, title: `fd${vhostUser.fd}` };
  }
  const { socketPath } = vhostUser;
  const file = socketPath.slice(socketPath.lastIndexOf("/") + 1);
  return {
    endpoint: `--socket-path ${socketPath}`,
    title: file.replace(/\.sock(et)?$/, ""),
  };
}

function checkUnique(aggregators: readonly AggregatorSpecification[]): void {
  const names = new Set<string>();
  const endpoints = new Set<string>();
  for (const aggregator of aggregators) {
    const { name } = aggregator;
    const { endpoint } = exposureTitle(aggregator);
    if (endpoints.has(endpoint)) {
      throw new ConfigError("is given twice", { path: endpoint });
    }
    if (names.has(name)) {
      throw new ConfigError(`the name "${name}" is given twice`, {
        path: endpoint,
        hint: "Tell the aggregators apart with --name",
      });
    }
    endpoints.add(endpoint);
    names.add(name);
  }
}
