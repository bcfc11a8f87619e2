/**
 * The executable: runs a command line and exits with its status.
 *
 * 0 done, 1 failed, 2 wrong usage or configuration.
 *
 * @module
 */
import type { CommandModule } from "./usage/command.ts";
import { COMMANDS, TOOL_NAMES } from "./commands.ts";
import { flushOutput, writeError, writeOutput } from "./output/output.ts";
import { plainMessage } from "../text/plain_error.ts";
import { calledAs } from "./program_name.ts";

/** Time limit of writing the last lines. **Units**: ms. */
const FLUSH_LIMIT_MS = 1000;

if (import.meta.main) {
  const status = await run(Deno.args, calledAs());
  await flushOutput(FLUSH_LIMIT_MS);
  Deno.exit(status);
}

/**
 * Runs one command line; `calledAs` is the name by which the program was
 * called.
 */
export async function run(
  args: readonly string[],
  calledAs: string,
): Promise<number> {
  try {
    return await dispatch(args, calledAs);
  } catch (error) {
    return report(error);
  }
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
      : nearest(name, Object.keys(COMMANDS));
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

async function runCommand(
  command: string,
  args: readonly string[],
  programName: string,
): Promise<number> {
  const { main, USAGE } = await COMMANDS[command]!.load();
  const isHelp = args.length === 1 && args[0] === "help" && takesNoNames(USAGE);
  return await main(isHelp ? ["--help"] : args, programName, COMMANDS);
}

/** Returns true if `help` cannot be the name of anything for a command. */
function takesNoNames(usage: CommandModule["USAGE"]): boolean {
  if (usage === undefined || !("synopsis" in usage)) return false;
  const [first] = usage.operands ?? [];
  return typeof first !== "string" || first === "command" ||
    first === "program";
}

/** Prints an error: one line for the problem, one for the remedy. */
function report(error: unknown): number {
  if (!(error instanceof Error)) throw error;
  // Messages of the runtime are not for users.
  writeError(plainMessage(error.message));
  const hint = "hint" in error ? String(error.hint) : "";
  if (hint !== "") writeError(hint);
  return error.name === "ConfigError" ? 2 : 1;
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

gpioagg COMMAND --help describes a command; gpioagg --version prints the version.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration.`;
}
