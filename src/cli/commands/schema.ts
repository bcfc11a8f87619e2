/**
 * `gpioagg schema`: prints the JSON Schema of a configuration file, for
 * editors.
 *
 * @module
 */
import { configSchema } from "../../config/schema/file_schema.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeOutput } from "../output/output.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "schema",
  synopsis: [""],
  about:
    `Prints the JSON Schema of a configuration file. An editor that has it completes
keys and marks mistakes while you type; with the YAML language server:

  gpioagg schema > /etc/gpioagg/gpioagg.schema.json
  # in the first line of a configuration:
  # yaml-language-server: $schema=/etc/gpioagg/gpioagg.schema.json`,
  operands: [],
  options: { help: HELP_OPTION },
} as const satisfies CommandUsage;

/** Runs the command. */
export function main(args: readonly string[]): number {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg schema > gpioagg.schema.json");
  writeOutput(JSON.stringify(configSchema(), undefined, 2));
  return 0;
}
