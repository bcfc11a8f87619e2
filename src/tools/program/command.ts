/**
 * Runs a tool's command line, in the same way for all tools.
 *
 * @module
 */
import type { OptionSpec } from "./options.ts";
import { runTool } from "./output.ts";
import { readRequest, type SettingsOf } from "./settings.ts";
import { printHelp, printVersion, type Usage } from "./usage.ts";

/** Entry of a tool: runs its command line and returns its exit status. */
export type ToolMain = (
  args: readonly string[],
  programName: string,
) => Promise<number>;

/**
 * Makes the entry of a tool.
 *
 * @param body Does the work, and returns the exit status.
 */
export function toolMain<const Table extends readonly OptionSpec[]>(
  usage: Usage & { readonly options: Table },
  body: (
    operands: readonly string[],
    settings: SettingsOf<Table>,
    programName: string,
    args: readonly string[],
  ) => number | Promise<number>,
): ToolMain {
  return (args, programName) =>
    runTool(programName, async () => {
      const request = readRequest(usage.options, args);
      if ("settings" in request) {
        return await body(
          request.operands,
          request.settings,
          programName,
          args,
        );
      }
      if (request.question === "version") await printVersion(programName);
      else printHelp(programName, usage);
      return 0;
    });
}
