/**
 * `gpioagg version`, and `gpioagg --version`.
 *
 * @module
 */
import settings from "../../../deno.json" with { type: "json" };
import { noRest, readArguments } from "../arguments/arguments.ts";
import { writeOutput } from "../output/output.ts";

/** Runs the command. */
export function main(args: readonly string[]): number {
  const given = readArguments(args, { help: "flag", json: "flag" });
  noRest(given, "gpioagg version [--json]");
  const { version } = settings;
  if (given.help) writeOutput(HELP);
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

const HELP = `Usage: gpioagg version [--json]

Prints the version of gpioagg, as gpioagg -V does.

  --json      also the version of Deno, the machine (x86_64, aarch64), and
              whether this is a compiled executable, as one line of JSON
  -h, --help  this text`;
