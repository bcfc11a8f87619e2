/**
 * `gpioagg info`: shows lines of this host, or of a running service.
 *
 * @module
 */
import { info, USAGE as TOOL } from "../../tools/info.ts";
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
    if (api === undefined) return info(words, settings, programName);
    // Loaded only when it is used.
    const { showServed } = await import("../served/info.ts");
    return await showServed({ words, api, programName }, settings);
  },
);
