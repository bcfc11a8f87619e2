/**
 * `gpioagg mon`: watches lines of this host, or of a running service.
 *
 * @module
 */
import { monitor, USAGE as TOOL } from "../../tools/mon.ts";
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
    if (api === undefined) return monitor(words, settings, programName);
    // Loaded only when it is used.
    const { monitorServed } = await import("../served/mon.ts");
    return await monitorServed({ words, api, programName }, settings);
  },
);
