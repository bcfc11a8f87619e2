/**
 * `gpioagg sim`.
 *
 * @module
 */
import { fileStatus } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { ConfigError } from "../config/config_error.ts";
import { ControlClient } from "../daemon/control_client.ts";
import { controlPathsByName } from "../daemon/control_names.ts";
import { controlPathOf } from "../config/specification.ts";
import type { AggregatorDescription } from "../daemon/messages.ts";
import { readArguments } from "./arguments.ts";
import { writeOutput } from "./output.ts";

/** Runs the command. */
export function main(args: readonly string[]): number {
  const given = readArguments(args, { help: "flag", json: "flag" });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const [socket, ...changes] = given.rest;
  if (socket === undefined) {
    throw new ConfigError("which aggregator? None was named", {
      hint: "gpioagg sim SOCKET|NAME [LINE=LEVEL...]",
    });
  }
  const pull = changes.map(parseChange);
  using client = connect(socket);
  const aggregator = client.ask({ pull });
  if (given.json) writeOutput(JSON.stringify(aggregator));
  else if (pull.length === 0) writeOutput(table(aggregator));
  return 0;
}

function connect(socket: string): ControlClient {
  const path = controlPath(socket);
  try {
    return new ControlClient(path);
  } catch (error) {
    if (!isOsError(error)) throw error;
    const why = isOsError(error, "ENOENT")
      ? "is a gpioagg serve running with this --socket-path or --name?"
      : isOsError(error, "ECONNREFUSED")
      ? "its gpioagg serve has ended"
      : isOsError(error, "EACCES", "EPERM")
      ? "you may not use this socket; its owner, group and mode decide"
      : isOsError(error, "EAGAIN")
      ? "its gpioagg serve has too much to do"
      : String(error);
    throw new Error(`Cannot reach ${path}: ${error.code}; ${why}`, {
      cause: error,
    });
  }
}

/** A path is what names a file or looks like one; anything else is a name. */
function controlPath(socket: string): string {
  if (socket.endsWith(".control")) return socket;
  const beside = controlPathOf(socket);
  if (socket.includes("/")) return beside;
  const places = [beside, ...controlPathsByName(socket)];
  return places.find((path) => fileStatus(path) !== undefined) ?? places[1]!;
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
    throw new ConfigError(`cannot take "${text}"`, {
      hint: "Write LINE=LEVEL with a line's name or number and 0 or 1",
    });
  }
  return [text.slice(0, equals), LEVELS[level]!];
}

function table({ lines }: AggregatorDescription): string {
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
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}

const HELP = `Usage: gpioagg sim SOCKET|NAME [LINE=LEVEL...] [--json]

Pulls simulated lines (sim/N) of a running gpioagg serve, as switches and
sensors would, while a guest uses them. SOCKET is the vhost-user socket that
serve was given, NAME the aggregator's name; LINE is a name or number; LEVEL is
0 (low) or 1 (high).

Without LINE=LEVEL, shows all lines of the aggregator with what the guest
makes of them.

  --json      one JSON object on standard output
  -h, --help  this text`;
