/**
 * `gpioget`: reads lines.
 *
 * @module
 */
import type { LineSettings } from "../gpio/line_settings.ts";
import { parsePeriod } from "./program/numbers.ts";
import { writeOut } from "./program/output.ts";
import { consumerLabel, readValues, requestLines } from "./lines/requests.ts";
import { needLines, selectLines } from "./lines/selection.ts";
import type { SettingsOf } from "./program/settings.ts";
import { sleepBlocking } from "../async/wait.ts";
import { ToolError } from "./program/tool_error.ts";
import {
  ACTIVE_LOW_OPTION,
  BIAS_OPTION,
  CHIPS_CHAPTER,
  CONSUMER_OPTION,
  HELP_OPTION,
  JSON_OPTION,
  LINES_CHAPTER,
  PERIODS_CHAPTER,
  SELECTION_OPTIONS,
  STRICT_OPTION,
  UNQUOTED_OPTION,
  VERSION_OPTION,
} from "./program/usage.ts";
import { valuesText } from "./lines/values_text.ts";

const OPTIONS = [
  {
    long: "as-is",
    short: "a",
    help: ["read the lines as they are, without making them inputs"],
  },
  BIAS_OPTION,
  ...SELECTION_OPTIONS,
  CONSUMER_OPTION,
  HELP_OPTION,
  JSON_OPTION,
  ACTIVE_LOW_OPTION,
  {
    long: "hold-period",
    short: "p",
    value: "period",
    help: ["wait between requesting the lines and reading them"],
    sets: "holdUs",
    read: parsePeriod,
  },
  { long: "numeric", help: ["print values as 0 and 1, without names"] },
  STRICT_OPTION,
  UNQUOTED_OPTION,
  VERSION_OPTION,
] as const;

/** The command line. */
export const USAGE = {
  operands: "<line>...",
  completes: "line",
  about: ["Reads the values of GPIO lines."],
  options: OPTIONS,
  chapters: [CHIPS_CHAPTER, LINES_CHAPTER, PERIODS_CHAPTER, [
    "JSON",
    `{"line": "foo", "chip": "gpiochip0", "offset": 3, "name": "foo", "value": 1}
line is the argument; name is null for a line without one; value is 1 for
active.`,
  ]],
} as const;

/** Settings of the command line. */
export type Config = SettingsOf<typeof OPTIONS>;

/** Reads lines of this host. */
export function get(
  words: readonly string[],
  config: Config,
  programName: string,
): number {
  needLines(words);
  if (config.asIs && config.bias !== undefined) {
    throw new ToolError("can't combine as-is with bias");
  }
  using stack = new DisposableStack();
  const lines = selectLines(words, config, stack);
  const settings: LineSettings = {
    direction: config.asIs ? "as-is" : "input",
    bias: config.bias,
    activeLow: config.activeLow,
  };
  const groups = requestLines(lines, {
    consumer: consumerLabel(config.consumer, programName),
    settings: () => settings,
  }, stack);
  if (config.holdUs !== undefined) sleepBlocking(config.holdUs);
  writeOut(valuesText(lines, readValues(groups), config));
  return 0;
}
