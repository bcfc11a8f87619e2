/**
 * Runs one command of a table, to its exit status.
 *
 * @module
 */
import { plainMessage } from "../text/plain_error.ts";
import { flushOutput, writeError } from "./output/output.ts";
import type { CommandModule, Commands } from "./usage/command.ts";

/** Time limit of writing the last lines. **Units**: ms. */
const FLUSH_LIMIT_MS = 1000;

/** Loads a command and runs it. */
export async function runCommand(
  commands: Commands,
  command: string,
  args: readonly string[],
  programName: string,
): Promise<number> {
  const { main, USAGE } = await commands[command]!.load();
  const isHelp = args.length === 1 && args[0] === "help" && takesNoNames(USAGE);
  return await main(isHelp ? ["--help"] : args, programName, commands);
}

/** Runs `action`; an error that it throws is printed, and its status returned. */
export async function reportErrors(
  action: () => Promise<number>,
): Promise<number> {
  try {
    return await action();
  } catch (error) {
    return report(error);
  }
}

/** Ends the process with a status, once the last lines are written. */
export async function exit(status: number): Promise<never> {
  await flushOutput(FLUSH_LIMIT_MS);
  Deno.exit(status);
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
  const isAbsent = "isAbsent" in error && error.isAbsent === true;
  return error.name === "ConfigError" && !isAbsent ? 2 : 1;
}
