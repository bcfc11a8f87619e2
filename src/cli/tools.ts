/**
 * The tools alone, by the names of libgpiod's: what `scripts/gpioagg` runs when it
 * is called by one.
 *
 * At each start Deno reads every file that an import of the program could load,
 * whether it will or not: those of all commands are four times as many.
 *
 * @module
 */
import { calledAs } from "./program_name.ts";
import { exit, reportErrors, runCommand } from "./run_command.ts";
import { TOOL_COMMANDS, TOOL_NAMES } from "./tool_commands.ts";

if (import.meta.main) await exit(await run(Deno.args, calledAs()));

/** Runs the tool of this name, to its exit status. */
export function run(args: readonly string[], name: string): Promise<number> {
  return reportErrors(() => {
    const command = TOOL_NAMES[name];
    if (command === undefined) throw new Error(`${name} is not a tool's name`);
    return runCommand(TOOL_COMMANDS, command, args, name);
  });
}
