/**
 * `gpioagg get`: reads lines of this host, or of a running service.
 *
 * @module
 */
import { get, USAGE as TOOL } from "../../tools/get.ts";
import { servedTool } from "../served/served_tool.ts";

/** The command line, and the entry of the tool. */
export const { USAGE, main } = servedTool(TOOL, {
  host: get,
  loadServed: async () => (await import("../served/get.ts")).getServed,
});
