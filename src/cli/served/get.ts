/**
 * `gpioagg get --api`: reads lines of a running service.
 *
 * @module
 */
import type { Config } from "../../tools/get.ts";
import { valuesText } from "../../tools/lines/values_text.ts";
import { needLines } from "../../tools/lines/selection.ts";
import { writeOut } from "../../tools/program/output.ts";
import { ToolError } from "../../tools/program/tool_error.ts";
import {
  asTool,
  knownValue,
  refuseOptions,
  type ServedCall,
  servedLines,
  shownLine,
} from "./served_lines.ts";

/** Reads lines of a service, and returns the exit status. */
export async function getServed(
  call: ServedCall,
  config: Config,
): Promise<number> {
  needLines(call.words);
  refuseOptions(config, {
    activeLow: "active-low",
    asIs: "as-is",
    bias: "bias",
    byName: "by-name",
    chip: "chip",
    consumer: "consumer",
    holdUs: "hold-period",
  });
  const { lines } = await asTool(() => servedLines(call));
  const shown = lines.map(shownLine);
  const values = lines.map(({ line }) => knownValue(line.value));
  const unknown = shown.filter((_, i) => values[i] === undefined);
  if (unknown.length > 0) {
    throw new ToolError(
      unknown.map(({ id }) => `the value of line '${id}' is not known now`),
    );
  }
  writeOut(valuesText(shown, values.map((value) => value ?? 0), config));
  return 0;
}
