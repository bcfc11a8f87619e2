/**
 * `gpioagg schema`: prints the JSON Schema of a configuration file, for
 * editors.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { configSchema } from "../../config/schema/file_schema.ts";
import { readArguments } from "../arguments/arguments.ts";
import { helpText } from "../usage/help_text.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeOutput } from "../output/output.ts";

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
  const given = readArguments(args, USAGE.options);
  if (given.help) {
    writeOutput(helpText(USAGE));
    return 0;
  }
  if (given.rest.length > 0) {
    throw new ConfigError(`unexpected argument "${given.rest[0]}"`, {
      hint: "gpioagg schema > gpioagg.schema.json",
    });
  }
  writeOutput(JSON.stringify(configSchema(), undefined, 2));
  return 0;
}
