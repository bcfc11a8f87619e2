/**
 * `gpioagg mon`: watches lines of this host, or of a running service.
 *
 * @module
 */
import { monitor, USAGE as TOOL } from "../../tools/mon.ts";
import { servedTool } from "../served/served_tool.ts";

/** The command line, and the entry of the tool. */
export const { USAGE, main } = servedTool(TOOL, {
  host: monitor,
  loadServed: async () => (await import("../served/mon.ts")).monitorServed,
});
