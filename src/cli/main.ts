/**
 * The executable: arguments to a command to an exit status.
 *
 * 0 done, 1 failed, 2 wrong usage or configuration.
 *
 * @module
 */
import { COMMANDS, TOOL_NAMES } from "./commands.ts";
import { writeError, writeOutput } from "./output.ts";
import { calledAs } from "./program_name.ts";

if (import.meta.main) Deno.exit(await run(Deno.args, calledAs()));

/** Runs one command line; `calledAs` is the name the program was called by. */
export async function run(
  args: readonly string[],
  calledAs: string,
): Promise<number> {
  if (Object.hasOwn(TOOL_NAMES, calledAs)) {
    return await runCommand(TOOL_NAMES[calledAs]!, args, calledAs);
  }
  const [name = "--help", ...rest] = args;
  if (name === "--version" || name === "-V") {
    const { default: { version } } = await import("../../deno.json", {
      with: { type: "json" },
    });
    writeOutput(`gpioagg ${version}`);
    return 0;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const [topic] = rest;
    if (name === "help" && topic !== undefined) {
      return await run([topic, "--help"], calledAs);
    }
    writeOutput(help());
    return args.length === 0 ? 2 : 0;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    const { nearest } = await import("../config/nearest.ts");
    const near = nearest(name, Object.keys(COMMANDS));
    writeError(`unknown command "${name}"`);
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
  try {
    const { main } = await COMMANDS[command]!.load();
    return await main(args, programName);
  } catch (error) {
    return report(error);
  }
}

/** Says what went wrong: one line for the problem, one for how it is meant. */
function report(error: unknown): number {
  if (!(error instanceof Error)) throw error;
  writeError(error.message);
  const hint = "hint" in error ? String(error.hint) : "";
  if (hint !== "") writeError(hint);
  return error.name === "ConfigError" ? 2 : 1;
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) =>
    `  ${name.padEnd(width)}  ${summary}`
  );
  return `Usage: gpioagg COMMAND [ARGUMENT...]

Takes GPIO lines of any chips of this host and hands chosen sets of them, each
as one controller, to virtual machines.

Commands:
${rows.join("\n")}

gpioagg COMMAND --help tells more; gpioagg --version prints the version.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration.`;
}
