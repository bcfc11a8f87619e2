/**
 * `gpioagg version`, and `gpioagg --version`.
 *
 * @module
 */
import settings from "../../../deno.json" with { type: "json" };
import { noRest, readArguments } from "../arguments/arguments.ts";
import { helpText } from "../usage/help_text.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeOutput } from "../output/output.ts";

/** The command line. */
export const USAGE = {
  name: "version",
  synopsis: ["[--json]"],
  about: "Prints the version of gpioagg, as gpioagg -V does.",
  operands: [],
  options: {
    json: {
      kind: "flag",
      help: "also the version of Deno, the machine (x86_64, aarch64), and " +
        "whether this is a compiled executable, as one line of JSON",
    },
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export function main(args: readonly string[]): number {
  const given = readArguments(args, USAGE.options);
  noRest(given, "gpioagg version [--json]");
  const { version } = settings;
  if (given.help) writeOutput(helpText(USAGE));
  else if (given.json) {
    writeOutput(JSON.stringify({
      version,
      deno: Deno.version.deno,
      machine: Deno.build.arch,
      isExecutable: Deno.build.standalone,
    }));
  } else writeOutput(`gpioagg ${version}`);
  return 0;
}
