/**
 * Runs one command of a table, to its exit status.
 *
 * @module
 */
import { plainMessage } from "../text/plain_error.ts";
import { flushOutput, writeError } from "./output/output.ts";
import type { Completes } from "../text/completes.ts";
import type { CommandModule, Commands } from "./usage/command.ts";

/** Time limit of writing the last lines. **Units**: ms. */
const FLUSH_LIMIT_MS = 1000;

/** Operands that are words of ours, or never one word without another sign. */
const SIGNED: ReadonlySet<Completes> = new Set<Completes>([
  "command",
  "forced-value",
  "line-condition",
  "page",
  "program",
]);

/** Loads a command and runs it. */
export async function runCommand(
  commands: Commands,
  command: string,
  args: readonly string[],
  programName: string,
): Promise<number> {
  const { main, USAGE } = await commands[command]!.load();
  const run = (words: readonly string[]) => main(words, programName, commands);
  if (asksForHelp(args, USAGE)) return await run(["--help"]);
  const isOwn = programName.startsWith("gpioagg ");
  if (args.length !== 1 || args[0] !== "help" || !isOwn) {
    return await run(args);
  }
  // The name of something; a missing one means that help was requested.
  const status = await reportErrors(async () => await run(args));
  if (status !== 0) {
    writeError(`gpioagg ${command} --help describes the command`);
  }
  return status;
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

/** Returns true for `help` where it cannot be the name of anything. */
function asksForHelp(
  args: readonly string[],
  usage: CommandModule["USAGE"],
): boolean {
  if (usage === undefined || !("synopsis" in usage)) return false;
  const { actions = {}, operands = [] } = usage;
  const [first = "", second = ""] = args;
  if (
    args.length === 2 && (Object.hasOwn(actions, first) || first === "help")
  ) {
    const [action, word] = first === "help" ? [second, first] : [first, second];
    return word === "help" && Object.hasOwn(actions, action) &&
      !takesNames(actions[action]!.operands?.[0]);
  }
  return args.length === 1 && first === "help" && !takesNames(operands[0]);
}

/** Returns true if an operand may be a name without any sign in it. */
function takesNames(completes: Completes | undefined): boolean {
  return typeof completes === "string" && !SIGNED.has(completes);
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
