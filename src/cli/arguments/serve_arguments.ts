/**
 * The command line of `gpioagg serve`: every `--socket-path` or `--fd` begins
 * another aggregator, and its lines follow.
 *
 * @module
 */
import { EXPOSURE_OPTIONS } from "../../config/checks/exposures.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { checkAggregators } from "../../config/spec/command_line.ts";
import type {
  AggregatorSpecification,
  RecordSpecification,
} from "../../config/specification.ts";
import { RECORD } from "../../config/values/record.ts";
import type { ApiSocket } from "../../service/api/server.ts";
import { absolutePath, absoluteSocketPath } from "./absolute_path.ts";
import {
  type Polling,
  readAggregator,
  readPolling,
} from "./aggregator_arguments.ts";
import { readArguments } from "./arguments.ts";
import { checkStandby, checkUnique } from "./serve_checks.ts";
import { SERVE_OPTIONS } from "./serve_options.ts";
import { readSocketArgument } from "./socket_argument.ts";

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
  for (const group of splitGroups(args)) {
    const given = readArguments(group, SERVE_OPTIONS);
    result.json ||= given.json;
    result.standby ||= given.standby;
    result.printCapabilities ||= given["print-capabilities"];
    const place = (
      name: "api" | "api-look" | "api-sockets",
      whole: (path: string) => string,
    ) => {
      if (given[name] === undefined) return undefined;
      const { path, access } = readSocketArgument(
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
function splitGroups(args: readonly string[]): string[][] {
  const groups: string[][] = [[]];
  for (const arg of args) {
    const [option = ""] = arg.split("=", 1);
    if (EXPOSURE_OPTIONS.includes(option)) groups.push([]);
    groups.at(-1)!.push(arg);
  }
  return groups;
}
