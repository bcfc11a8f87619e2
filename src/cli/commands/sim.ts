/**
 * `gpioagg sim`.
 *
 * @module
 */
import { fileKind } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { ownRuntimeDirectory } from "../../../ffi/runtime_directory.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { ControlClient } from "../../service/control/control_client.ts";
import { similarSocket } from "../../client/similar_socket.ts";
import { serviceDirectories } from "../../client/services.ts";
import { controlledNames } from "../../service/control/control_names.ts";
import { defaultControlPath } from "../../config/specification.ts";
import type { AggregatorDescription } from "../../service/messages/messages.ts";
import { findControlSocket, usualControlPath } from "../control_path.ts";
import { ServiceError } from "../../client/client.ts";
import { noAggregator, NotThereError } from "../not_there.ts";
import { selectClients } from "../service_client.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";
import { formatTable } from "../output/table.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { nearest } from "../../text/nearest.ts";
import { printableJson } from "../../text/printable.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "sim",
  synopsis: ["SOCKET|NAME [LINE=LEVEL...] [--json]"],
  about:
    `Pulls simulated lines (sim/N) of a running gpioagg serve, as switches and
sensors would, while a guest uses them. SOCKET is the path of the vhost-user
socket that serve was given, with a slash in it (./plc0.sock); NAME is the
aggregator's name. LINE is a name or number; LEVEL is 0 (low) or 1 (high).

A line that the guest drives as an output is reported, and the status is 1: the
pull is kept, and takes effect once the line is an input.

Without LINE=LEVEL, shows all lines of the aggregator and how the guest uses
them.`,
  operands: ["sim", "pull"],
  options: {
    json: JSON_OPTION,
    api: {
      ...API_OPTION,
      help: "for NAME: the aggregator of the service with this control " +
        "socket, or of NAME of gpioagg@NAME.service",
    },
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Names that an error lists, at most. */
const MAX_SHOWN_NAMES = 8;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [socket, ...changes] = given.rest;
  if (socket === undefined) {
    throw new ConfigError("missing SOCKET or NAME argument", {
      hint: "gpioagg sim SOCKET|NAME [LINE=LEVEL...]",
    });
  }
  const pull = changes.map(parseChange);
  using client = given.api === undefined ? connectControl(socket) : connectAt(
    await pathAtService(socket, given.api),
    () => ABSENT_AT_SERVICE,
  );
  const { aggregator, driven } = client.pull(pull);
  if (given.json) writeOutput(printableJson(aggregator));
  else if (pull.length === 0) writeOutput(lineTable(aggregator));
  for (const name of new Set(driven)) {
    writeError(
      `the guest drives line "${name}" of ${aggregator.name} as an output: ` +
        "the pull takes effect once it is an input",
    );
  }
  return driven.length === 0 ? 0 : 1;
}

/**
 * Connects to a control socket by path or name.
 *
 * @throws {Error} If there is none, with advice.
 */
export function connectControl(socket: string): ControlClient {
  return connectAt(
    controlPath(socket),
    () => absentText(socket),
    socket.includes("/") ? [] : hintsFor(socket),
  );
}

const ABSENT_AT_SERVICE =
  "the service listens there; its file was removed, or is in a container";

/** Connects to the control socket at `path`; `whyAbsent` explains its absence. */
function connectAt(
  path: string,
  whyAbsent: () => string,
  hints: readonly string[] = [],
): ControlClient {
  try {
    return new ControlClient(path);
  } catch (error) {
    if (!isOsError(error)) throw error;
    const why = isOsError(error, "ENOENT")
      ? whyAbsent()
      : isOsError(error, "ECONNREFUSED")
      ? "its gpioagg serve has ended"
      : isOsError(error, "EACCES", "EPERM")
      ? "you may not use this socket; its owner, group and mode decide"
      : isOsError(error, "EAGAIN")
      ? "its gpioagg serve is overloaded"
      : String(error);
    throw new Error(
      [`Cannot reach ${path}: ${error.code}; ${why}`, ...hints].join(". "),
      { cause: error },
    );
  }
}

/**
 * Returns the path of a control socket: an argument with a slash is a path; any
 * other is a name, whatever files exist.
 */
function controlPath(socket: string): string {
  if (socket.includes("/")) {
    return socket.endsWith(".control") ? socket : defaultControlPath(socket);
  }
  return findControlSocket(socket) ?? usualControlPath(socket);
}

/**
 * Asks a service for the path of the control socket of its aggregator `name`.
 *
 * @throws {ConfigError} If it is a path.
 * @throws {Error} If there is no such service, or no such aggregator of it.
 */
async function pathAtService(name: string, api: string): Promise<string> {
  if (name.includes("/")) {
    throw new ConfigError("is for a NAME", {
      path: "--api",
      hint: `Omit it: ${name} is a path`,
    });
  }
  const [service] = selectClients(api, "look");
  const client = service!.client;
  try {
    const { controlPath } = await client.show(name);
    if (controlPath !== undefined) return controlPath;
  } catch (error) {
    if (!(error instanceof ServiceError) || error.status !== 404) throw error;
    const names = (await client.list()).map((one) => one.name);
    const apart = lineApart(name, names);
    throw apart === undefined
      ? noAggregator(name, names)
      : new NotThereError(`There is no aggregator "${name}"`, apart);
  }
  throw new NotThereError(
    `${name} has no socket for gpioagg sim`,
    "control: and a path in its configuration makes one",
  );
}

/** Returns the advice for `press.START`, if `names` has `press`. */
function lineApart(
  name: string,
  names: readonly string[],
): string | undefined {
  const owner = names.find((each) => name.startsWith(`${each}.`));
  return owner === undefined
    ? undefined
    : `write the line apart: ${owner} ${name.slice(owner.length + 1)}`;
}

/** Returns what may be meant instead of a control socket that is not there. */
function absentText(socket: string): string {
  const isPath = socket.includes("/");
  if (isPath && fileKind(socket) === "socket") {
    return `${socket} is another socket, not a vhost-user socket of a ` +
      "gpioagg serve (gpioagg list --api takes that of a control API)";
  }
  const names = isPath
    ? []
    : [...new Set(controlledNames(serviceDirectories()))].toSorted();
  const near = isPath ? similarSocket(socket) : nearest(socket, names);
  if (near !== undefined) return `did you mean ${near}?`;
  const apart = lineApart(socket, names);
  if (apart !== undefined) return apart;
  return names.length === 0
    ? "is a gpioagg serve running with this --socket-path or --name?"
    : `there ${names.length === 1 ? "is" : "are"} ${formatNames(names)}`;
}

function formatNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_SHOWN_NAMES).join(", ");
  const others = names.length - MAX_SHOWN_NAMES;
  return others > 0 ? `${shown} and ${others} more` : shown;
}

/** Returns other meanings of a name without a service. */
function hintsFor(name: string): string[] {
  const { problem } = ownRuntimeDirectory();
  const isFile = fileKind(name) === "socket" ||
    fileKind(defaultControlPath(name)) === "socket";
  return [
    ...(problem === undefined ? [] : [problem]),
    ...(isFile ? [`The socket in this directory is ./${name}`] : []),
  ];
}

const LEVELS: Readonly<Record<string, 0 | 1>> = {
  "0": 0,
  "1": 1,
  low: 0,
  high: 1,
};

function parseChange(text: string): [string, 0 | 1] {
  const equals = text.lastIndexOf("=");
  const level = text.slice(equals + 1);
  if (equals < 1 || !Object.hasOwn(LEVELS, level)) {
    throw new ConfigError(`invalid argument "${text}"`, {
      hint: "Write LINE=LEVEL with a line's name or number and 0 or 1",
    });
  }
  return [text.slice(0, equals), LEVELS[level]!];
}

function lineTable({ lines }: AggregatorDescription): string {
  const rows = [
    ["LINE", "NAME", "DIRECTION", "VALUE", "SOURCE"],
    ...lines.map(({ lineNumber, name, direction, value, source }) => [
      String(lineNumber),
      name || "-",
      direction,
      value === undefined ? "?" : String(value),
      source,
    ]),
  ];
  return formatTable(rows);
}
