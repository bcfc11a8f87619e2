/**
 * The executable: runs a command line and exits with its status.
 *
 * 0 done, 1 failed, 2 wrong usage or configuration. An aggregator, a line, a chip
 * or a service that is not there is a failure: it may be there at another time.
 *
 * @module
 */
import { COMMANDS } from "./commands.ts";
import { writeError, writeOutput } from "./output/output.ts";
import { calledAs } from "./program_name.ts";
import { exit, reportErrors, runCommand as runOne } from "./run_command.ts";
import { TOOL_NAMES } from "./tool_commands.ts";

if (import.meta.main) await exit(await run(Deno.args, calledAs()));

/**
 * Runs one command line; `calledAs` is the name by which the program was
 * called.
 */
export function run(
  args: readonly string[],
  calledAs: string,
): Promise<number> {
  return reportErrors(() => dispatch(args, calledAs));
}

async function dispatch(
  args: readonly string[],
  calledAs: string,
): Promise<number> {
  if (Object.hasOwn(TOOL_NAMES, calledAs)) {
    return await runCommand(TOOL_NAMES[calledAs]!, args, calledAs);
  }
  const [name = "--help", ...rest] = args;
  if (name === "--version" || name === "-V") {
    return await runCommand("version", rest, "gpioagg version");
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const [topic] = rest;
    if (name === "help" && topic !== undefined) {
      return Object.hasOwn(TOOL_NAMES, topic)
        ? await runCommand(TOOL_NAMES[topic]!, ["--help"], topic)
        : await dispatch([topic, "--help"], calledAs);
    }
    writeOutput(help());
    return args.length === 0 ? 2 : 0;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    const { nearest } = await import("../text/nearest.ts");
    const isOption = name.startsWith("-");
    const near = isOption
      ? nearest(name, ["--help", "--version"])
      : Object.hasOwn(TOOL_NAMES, name)
      ? TOOL_NAMES[name]
      : nearest(name, [...Object.keys(COMMANDS), "help"]);
    writeError(
      isOption ? `unknown option ${name}` : `unknown command "${name}"`,
    );
    writeError(
      near === undefined
        ? "gpioagg --help lists the commands"
        : `did you mean gpioagg ${near}?`,
    );
    return 2;
  }
  return await runCommand(name, rest, `gpioagg ${name}`);
}

function runCommand(
  command: string,
  args: readonly string[],
  programName: string,
): Promise<number> {
  return runOne(COMMANDS, command, args, programName);
}

function help(): string {
  const listed = Object.entries(COMMANDS).filter(([, { isHidden }]) =>
    !isHidden
  );
  const width = Math.max(...listed.map(([name]) => name.length));
  const rows = listed.map(([name, { summary }]) =>
    `  ${name.padEnd(width)}  ${summary}`
  );
  return `Usage: gpioagg COMMAND [ARGUMENT...]

Presents chosen sets of this host's GPIO lines, from any chips, to virtual
machines, each set as one controller.

Commands:
${rows.join("\n")}

gpioagg COMMAND --help describes COMMAND; gpioagg --version prints the version.
Exit status: 0 done, 1 failed, also for names that are not there, 2 wrong usage
or configuration.`;
}
