/**
 * The beginning of each command: its arguments, or its help.
 *
 * @module
 */
import { writeOutput } from "../output/output.ts";
import { helpText } from "../usage/help_text.ts";
import type { CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { type Given, readArguments } from "./arguments.ts";

/** Usage of a command that has `--help`. */
type UsageWithHelp = CommandUsage & {
  readonly options: { readonly help: typeof HELP_OPTION };
};

/**
 * Reads the arguments of a command.
 *
 * @returns Undefined if they ask for its help, which is printed then.
 * @throws {ConfigError} On an unknown option or one without its value.
 */
export function argumentsOrHelp<const U extends UsageWithHelp>(
  args: readonly string[],
  usage: U,
): Given<U["options"]> | undefined {
  const given = readArguments(args, usage.options);
  if (!given.help) return given as Given<U["options"]>;
  writeOutput(helpText(usage));
  return undefined;
}
