/**
 * `gpioagg info --api`: shows lines of a running service.
 *
 * @module
 */
import type { AggregatorState, Line } from "../../client/protocol.ts";
import type { LineInfo } from "../../gpio/line_info.ts";
import { chipText, type Config, lineText } from "../../tools/info.ts";
import { jsonLine, lineMembers } from "../../tools/lines/line_text.ts";
import { writeOut } from "../../tools/program/output.ts";
import {
  asTool,
  refuseOptions,
  type ServedCall,
  servedLines,
} from "./served_lines.ts";

/** Consumer of the lines at the kernel, unless their service has another name. */
const CONSUMER = "gpioagg";

/** Shows lines of a service, and returns the exit status. */
export async function showServed(
  call: ServedCall,
  config: Config,
): Promise<number> {
  refuseOptions(config, { byName: "by-name", chip: "chip", ids: "ids" });
  const { aggregators, lines } = await asTool(() => servedLines(call));
  if (call.words.length === 0 && !config.json) {
    for (const one of aggregators) writeOut(aggregatorText(one, config));
    return 0;
  }
  for (const { aggregator, line } of lines) {
    const info = toLineInfo(line);
    writeOut(
      config.json
        ? jsonLine({ ...lineMembers(aggregator, info), source: line.source })
        : `${aggregator} ${info.offset}\t${lineText(info, config.unquoted)}\n`,
    );
  }
  return 0;
}

function aggregatorText(
  { name, lines }: AggregatorState,
  { unquoted }: Config,
): string {
  return chipText(
    { name, lineCount: lines.length },
    lines.map(toLineInfo),
    unquoted,
  );
}

/** Returns a line as the kernel would tell of it. */
function toLineInfo(
  { lineNumber, name, direction, rules = {} }: Line,
): LineInfo {
  return {
    offset: lineNumber,
    name,
    consumer: CONSUMER,
    used: true,
    direction,
    activeLow: rules.activeLow === true,
    bias: rules.bias ?? "as-is",
    drive: rules.drive ?? "push-pull",
    edge: "none",
    eventClock: "monotonic",
    debouncePeriodUs: rules.debounceUs ?? 0,
  };
}
