/**
 * Runs a tool's command line, in the same way for all tools.
 *
 * @module
 */
import type { OptionSpec } from "./options.ts";
import { runTool } from "./output.ts";
import { readRequest, type SettingsOf } from "./settings.ts";
import { printHelp, printVersion, type Usage } from "./usage.ts";

/** One call of a tool. */
export interface Command<Table extends readonly OptionSpec[]> {
  readonly args: readonly string[];
  readonly programName: string;
  readonly usage: Usage & { readonly options: Table };
  /** Does the work. */
  readonly body: (
    operands: readonly string[],
    settings: SettingsOf<Table>,
  ) => number | Promise<number>;
}

/** Runs a tool and returns its exit status. */
export function runCommand<const Table extends readonly OptionSpec[]>(
  { args, programName, usage, body }: Command<Table>,
): Promise<number> {
  return runTool(programName, async () => {
    const request = readRequest(usage.options, args);
    if ("settings" in request) {
      return await body(request.operands, request.settings);
    }
    if (request.question === "version") await printVersion(programName);
    else printHelp(programName, usage);
    return 0;
  });
}
