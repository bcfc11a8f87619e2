/**
 * `gpioagg get`: reads lines of this host, or of a running service.
 *
 * @module
 */
import { get, USAGE as TOOL } from "../../tools/get.ts";
import { type ToolMain, toolMain } from "../../tools/program/command.ts";
import { API_OPTION } from "../../tools/program/usage.ts";

/** The command line. */
export const USAGE = {
  ...TOOL,
  options: [...TOOL.options, API_OPTION],
} as const;

/** Runs the tool. */
export const main: ToolMain = toolMain(
  USAGE,
  async (words, { api, ...settings }, programName) => {
    if (api === undefined) return get(words, settings, programName);
    // Loaded only when it is used.
    const { getServed } = await import("../served/get.ts");
    return await getServed({ words, api, programName }, settings);
  },
);
