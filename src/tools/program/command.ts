/**
 * Runs a tool's command line, in the same way for all tools.
 *
 * @module
 */
import { misplacedOption, type OptionSpec, UsageError } from "./options.ts";
import { runTool } from "./output.ts";
import { ToolError } from "./tool_error.ts";
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
        const { operands, settings } = request;
        try {
          return await body(operands, settings, programName, args);
        } catch (error) {
          throw withAdvice(error, usage.options, operands);
        }
      }
      if (request.question === "version") await printVersion(programName);
      else await printHelp(programName, usage);
      return 0;
    });
}

/**
 * Returns an error with advice if an operand is an option: options come first, as
 * with libgpiod's tools, and later ones are lines.
 */
function withAdvice(
  error: unknown,
  table: readonly OptionSpec[],
  operands: readonly string[],
): unknown {
  const isPlain = error instanceof ToolError && !(error instanceof UsageError);
  const option = isPlain ? misplacedOption(table, operands) : undefined;
  if (!isPlain || option === undefined) return error;
  return new ToolError(error.lines, {
    cause: error,
    suggest: error.suggest,
    advice: `options come before the lines: write ${option} first`,
  });
}
