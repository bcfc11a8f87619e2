/**
 * `gpioagg info`: shows lines of this host, or of a running service.
 *
 * @module
 */
import { info, USAGE as TOOL } from "../../tools/info.ts";
import { servedTool } from "../served/served_tool.ts";

/** The command line, and the entry of the tool. */
export const { USAGE, main } = servedTool(TOOL, {
  host: info,
  loadServed: async () => (await import("../served/info.ts")).showServed,
});
