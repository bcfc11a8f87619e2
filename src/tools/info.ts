/**
 * `gpioinfo`: shows lines with their attributes.
 *
 * @module
 */
import type { Chip } from "../gpio/chip.ts";
import type { LineInfo } from "../gpio/line_info.ts";
import { identitiesOutput } from "./lines/chip_ids.ts";
import { openAllChips, openNamedChip } from "./lines/chips.ts";
import {
  attributesText,
  jsonLine,
  lineMembers,
  quoted,
  UNNAMED,
} from "./lines/line_text.ts";
import { printError, printSuggestions, writeOut } from "./program/output.ts";
import { findSelection } from "./lines/selection.ts";
import type { SettingsOf } from "./program/settings.ts";
import { ToolError } from "./program/tool_error.ts";
import {
  CHIPS_CHAPTER,
  HELP_OPTION,
  JSON_OPTION,
  LINES_CHAPTER,
  SELECTION_OPTIONS,
  UNQUOTED_OPTION,
  VERSION_OPTION,
} from "./program/usage.ts";

const OPTIONS = [
  ...SELECTION_OPTIONS,
  HELP_OPTION,
  {
    long: "ids",
    help: ["show the stable identities of each chip"],
  },
  JSON_OPTION,
  {
    long: "strict",
    short: "s",
    help: ["show all lines of a name, and fail if there are several"],
  },
  UNQUOTED_OPTION,
  VERSION_OPTION,
] as const;

/** The command line. */
export const USAGE = {
  operands: "[line]...",
  completes: "line",
  about: [
    "Shows GPIO lines: name, direction, settings and consumer.",
    "Without a line, all lines are shown.",
  ],
  options: OPTIONS,
  chapters: [CHIPS_CHAPTER, LINES_CHAPTER, [
    "JSON",
    `{"chip": "gpiochip0", "offset": 3, "name": "foo", "used": true,
 "consumer": "gpioset", "direction": "output", "activeLow": false,
 "bias": "as-is", "drive": "push-pull", "edges": "none",
 "eventClock": "monotonic", "debouncePeriodUs": 0}
name and consumer are null where there is none. With --ids:
{"chip": "gpiochip0", "label": "soc", "lines": 8,
 "ids": [{"id": "label:soc", "sharedWith": []}]}`,
  ]],
} as const;

/** Settings of the command line. */
export type Config = SettingsOf<typeof OPTIONS>;

/** Columns of a line's name. */
const NAME_WIDTH = 16;

/** Shows lines of this host. */
export function info(
  words: readonly string[],
  config: Config,
  programName: string,
): number {
  if (config.ids) return showIds(words, config, programName);
  return words.length === 0
    ? showChips(config, programName)
    : showLines(words, config, programName);
}

/** Prints the stable identities of chips. */
function showIds(
  words: readonly string[],
  config: Config,
  programName: string,
): number {
  if (words.length > 0) {
    throw new ToolError("--ids shows chips, and takes no lines");
  }
  using stack = new DisposableStack();
  const { chips, problems } = openAllChips(stack);
  for (const problem of problems) printError(programName, problem);
  const all = chips.map(({ path }) => path);
  const wanted = config.chip === undefined
    ? all
    : [stack.use(openNamedChip(config.chip)).path];
  writeOut(identitiesOutput(all, wanted, config.json));
  return problems.length === 0 ? 0 : 1;
}

/** Prints whole chips. */
function showChips(config: Config, programName: string): number {
  using stack = new DisposableStack();
  const { chips, problems } = config.chip === undefined
    ? openAllChips(stack)
    : { chips: [stack.use(openNamedChip(config.chip))], problems: [] };
  for (const problem of problems) printError(programName, problem);
  for (const chip of chips) {
    const lines = chip.lines();
    writeOut(
      config.json
        ? lines.map((info) => jsonLine(lineMembers(chip.name, info))).join("")
        : chipText(chip, lines, config.unquoted),
    );
  }
  return problems.length === 0 ? 0 : 1;
}

/** Returns the text of a whole chip. */
export function chipText(
  { name, lineCount }: Pick<Chip, "name" | "lineCount">,
  lines: readonly LineInfo[],
  unquoted: boolean,
): string {
  const rows = lines.map((info) => {
    const offset = `${info.offset}`.padStart(3);
    return `\tline ${offset}:\t${lineText(info, unquoted)}\n`;
  });
  return `${name} - ${lineCount} lines:\n${rows.join("")}`;
}

/** Prints the named lines, in the order of the chips. */
function showLines(
  words: readonly string[],
  config: Config,
  programName: string,
): number {
  using stack = new DisposableStack();
  const selection = findSelection(words, config, stack);
  for (const problem of [...selection.unopened, ...selection.problems]) {
    printError(programName, problem);
  }
  printSuggestions(programName, selection.suggest);
  // A line that is named twice is printed once.
  const places = new Map(
    selection.lines.map((
      line,
    ) => [`${line.chip.name} ${line.info.offset}`, line]),
  );
  const ordered = [...places.values()].sort((a, b) =>
    chipNumber(a.chip) - chipNumber(b.chip) || a.info.offset - b.info.offset
  );
  for (const { chip, info } of ordered) {
    writeOut(
      config.json
        ? jsonLine(lineMembers(chip.name, info))
        : `${chip.name} ${info.offset}\t${lineText(info, config.unquoted)}\n`,
    );
  }
  const { problems, unopened, ambiguous } = selection;
  return problems.length === 0 && unopened.length === 0 &&
      ambiguous === undefined
    ? 0
    : 1;
}

/** Returns the text of a line, without its place. */
export function lineText(info: LineInfo, unquoted: boolean): string {
  const name = info.name === "" ? UNNAMED : quoted(info.name, unquoted);
  return `${name.padEnd(NAME_WIDTH)}\t${attributesText(info, unquoted)}`;
}

function chipNumber({ name }: Chip): number {
  return Number(/\d+$/.exec(name)?.[0] ?? 0);
}
