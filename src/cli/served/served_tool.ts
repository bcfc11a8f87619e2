/**
 * Tools whose lines are this host's, or with `--api` a running service's.
 *
 * @module
 */
import { type ToolMain, toolMain } from "../../tools/program/command.ts";
import type { OptionSpec } from "../../tools/program/options.ts";
import type { SettingsOf } from "../../tools/program/settings.ts";
import { API_OPTION, type Usage } from "../../tools/program/usage.ts";
import type { ServedCall } from "./served_lines.ts";

/** The two forms of a tool. */
interface Forms<Config> {
  /** Does the work with lines of this host, and returns the exit status. */
  readonly host: (
    words: readonly string[],
    config: Config,
    programName: string,
  ) => number | Promise<number>;
  /** Loads what does it with lines of a service; only when it is used. */
  readonly loadServed: () => Promise<
    (call: ServedCall, config: Config) => Promise<number>
  >;
}

/** Adds `--api` to a tool of this host's lines: its command line, and entry. */
export function servedTool<const Options extends readonly OptionSpec[]>(
  tool: Usage & { readonly options: Options },
  { host, loadServed }: Forms<SettingsOf<Options>>,
): { readonly USAGE: Usage; readonly main: ToolMain } {
  const USAGE = { ...tool, options: [...tool.options, API_OPTION] };
  const main = toolMain(USAGE, async (words, given, programName) => {
    const { api, ...rest } = given as { api?: string };
    const config = rest as SettingsOf<Options>;
    if (api === undefined) return await host(words, config, programName);
    const served = await loadServed();
    return await served({ words, api, programName }, config);
  });
  return { USAGE, main };
}
