/**
 * `gpioagg check`: validates a configuration file.
 *
 * @module
 */
import { ConfigError, toProblem } from "../../config/document/config_error.ts";
import type { ConfigResult } from "../../config/file/config_file.ts";
import type { Specification } from "../../config/specification.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { writeConfigErrors } from "../output/config_errors.ts";
import { readConfig } from "../arguments/read_config.ts";
import { printableJson } from "../../text/printable.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "check",
  synopsis: ["[--live] [--json] FILE"],
  about:
    `Reports all errors of a configuration file, each with file, line, column and key
path. Opens nothing else; - reads standard input.`,
  operands: ["file"],
  options: {
    live: {
      kind: "flag",
      help: "check also that this host has the chips, lines, users, groups, " +
        "directories and kernel driver, and that the lines and sockets are " +
        "free; nothing is requested and nothing changes",
    },
    json: {
      kind: "flag",
      help: "one JSON object: file, valid, errors, and with --live notes",
    },
    help: HELP_OPTION,
  },
  after: "Exit status: 0 valid, 2 invalid.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [file, stray] = given.rest;
  if (file === undefined || stray !== undefined) {
    throw new ConfigError(
      file === undefined
        ? "missing FILE argument"
        : `unexpected argument "${stray}"`,
      { hint: "gpioagg check [--live] [--json] FILE" },
    );
  }
  const result = readResult(file);
  const { errors, notes } = "errors" in result
    ? { errors: result.errors, notes: [] }
    : given.live
    ? await liveFindings(result.specification)
    : { errors: [], notes: [] };
  if (given.json) {
    writeOutput(printableJson({
      file,
      valid: errors.length === 0,
      errors: errors.map(toProblem),
      ...(given.live ? { notes: notes.map(toProblem) } : {}),
    }));
  } else {
    writeConfigErrors(errors);
    for (const { message } of notes) writeError(`note: ${message}`);
    if (errors.length > 0) writeError(formatCount(errors.length, "error"));
    else if ("specification" in result) {
      writeOutput(summary(file, result.specification));
    }
  }
  return errors.length === 0 ? 0 : 2;
}

/** Reads the file; one that cannot be read is an error like others. */
function readResult(file: string): ConfigResult {
  try {
    return readConfig(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { errors: [error] };
  }
}

/** Checks against this host's chips; loads the GPIO library only then. */
async function liveFindings(specification: Specification) {
  const { checkLive } = await import("./check_live.ts");
  return checkLive(specification);
}

function summary(file: string, specification: Specification): string {
  const aggregators = specification.aggregators
    .filter(({ secondOf }) => secondOf === undefined);
  const lines = aggregators.reduce((sum, { lines }) => sum + lines.length, 0);
  return `${file}: ${formatCount(aggregators.length, "aggregator")}, ` +
    `${formatCount(lines, "line")}: valid`;
}

function formatCount(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
