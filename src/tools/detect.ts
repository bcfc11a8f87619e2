/**
 * `gpiodetect`: lists chips.
 *
 * @module
 */
import type { Chip } from "../gpio/chip.ts";
import { openAllChips, openNamedChip } from "./lines/chips.ts";
import { type ToolMain, toolMain } from "./program/command.ts";
import { jsonLine, jsonName } from "./lines/line_text.ts";
import { printError, printSuggestions, writeOut } from "./program/output.ts";
import { ToolError } from "./program/tool_error.ts";
import {
  CHIPS_CHAPTER,
  HELP_OPTION,
  JSON_OPTION,
  VERSION_OPTION,
} from "./program/usage.ts";
import { nameText } from "../text/names.ts";

/** The command line. */
export const USAGE = {
  operands: "[chip]...",
  completes: "chip",
  about: [
    "Lists GPIO chips: name, label and number of lines.",
    "Without a chip, all chips are listed.",
  ],
  options: [HELP_OPTION, JSON_OPTION, VERSION_OPTION],
  chapters: [CHIPS_CHAPTER, [
    "JSON",
    `{"chip": "gpiochip0", "path": "/dev/gpiochip0", "label": "...", "lines": 8}`,
  ]],
} as const;

/** Runs the tool. */
export const main: ToolMain = toolMain(USAGE, detect);

function detect(
  keys: readonly string[],
  { json }: { json: boolean },
  programName: string,
): number {
  using stack = new DisposableStack();
  if (keys.length === 0) {
    const { chips, problems } = openAllChips(stack);
    for (const problem of problems) printError(programName, problem);
    for (const chip of chips) print(chip, json);
    return problems.length === 0 ? 0 : 1;
  }
  let status = 0;
  for (const key of keys) {
    try {
      print(stack.use(openNamedChip(key)), json);
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      for (const line of error.lines) printError(programName, line);
      printSuggestions(programName, error.suggest);
      status = 1;
    }
  }
  return status;
}

function print({ name, path, label, lineCount }: Chip, json: boolean): void {
  writeOut(
    json
      ? jsonLine({ chip: name, path, label: jsonName(label), lines: lineCount })
      : `${name} [${nameText(label)}] (${lineCount} lines)\n`,
  );
}
