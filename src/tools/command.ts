/**
 * From arguments to an exit status, as all tools do it.
 *
 * @module
 */
import { type OptionSpec, readOptions } from "./options.ts";
import { runTool } from "./output.ts";
import { printHelp, printVersion, type Usage } from "./usage.ts";

/** One call of a tool. */
export interface Command<Table extends readonly OptionSpec[]> {
  readonly args: readonly string[];
  readonly programName: string;
  readonly usage: Usage & { readonly options: Table };
  /** Takes note of an option; `--help` and `--version` are seen to. */
  readonly apply: (
    option: Exclude<Table[number]["long"], "help" | "version">,
    value: string,
  ) => void;
  /** Does the work. */
  readonly body: (operands: readonly string[]) => number | Promise<number>;
}

/** Runs a tool: its exit status. */
export function runCommand<const Table extends readonly OptionSpec[]>(
  { args, programName, usage, apply, body }: Command<Table>,
): Promise<number> {
  return runTool(programName, async () => {
    let asked: string | undefined;
    const operands = readOptions(usage.options, args, (option, value) => {
      if (option === "help" || option === "version") {
        asked = option;
        return true;
      }
      apply(
        option as Exclude<Table[number]["long"], "help" | "version">,
        value,
      );
      return false;
    });
    if (operands !== undefined) return await body(operands);
    if (asked === "version") await printVersion(programName);
    else printHelp(programName, usage);
    return 0;
  });
}
