/**
 * Text of `--help` and `--version`, and the common options of several tools.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { OptionSpec } from "./options.ts";
import { writeOut } from "./output.ts";
import { ToolError } from "./tool_error.ts";

/** The page that `--help` prints. */
export interface Usage {
  /** Operands, as shown after the options. */
  readonly operands: string;
  /** Words that a shell completes as operands. */
  readonly completes: Completes;
  /** Description of the tool, in paragraphs. */
  readonly about: readonly string[];
  readonly options: readonly OptionSpec[];
  /** More chapters: a title and its lines. */
  readonly chapters: readonly (readonly [title: string, lines: string])[];
}

const WIDTH = 80;
/** Column of the explanations of options. */
const HELP_COLUMN = 29;

const BY_NAME = {
  long: "by-name",
  help: ["take lines as names, also those that look like offsets"],
} as const;

const CHIP = {
  long: "chip",
  short: "c",
  value: "chip",
  completes: "chip",
  help: ["look for lines on this chip only"],
} as const;

/** The common options of tools for finding lines. */
export const SELECTION_OPTIONS = [BY_NAME, CHIP] as const;

const BIASES = ["pull-up", "pull-down", "disabled"] as const;

/** `--bias`. */
export const BIAS_OPTION = {
  long: "bias",
  short: "b",
  value: "bias",
  completes: BIASES,
  help: [
    "set the bias: pull-up, pull-down or disabled",
    "(default: unchanged)",
  ],
  read: parseBias,
} as const;

/** `--active-low`. */
export const ACTIVE_LOW_OPTION = {
  long: "active-low",
  short: "l",
  help: ["treat physical low as active"],
} as const;

/** `--consumer`. */
export const CONSUMER_OPTION = {
  long: "consumer",
  short: "C",
  value: "name",
  help: ["label the lines as used by this name", "(default: the tool's name)"],
} as const;

/** `--strict`. */
export const STRICT_OPTION = {
  long: "strict",
  short: "s",
  help: ["fail if a line's name is not unique"],
} as const;

/** `--unquoted`. */
export const UNQUOTED_OPTION = {
  long: "unquoted",
  help: ["print names without quotes"],
} as const;

/** `--api`. */
export const API_OPTION = {
  long: "api",
  value: "service",
  completes: "service",
  help: [
    "take each <line> as AGGREGATOR.LINE of a running gpioagg service,",
    "given by its name or the path of its control socket",
  ],
  extension: true,
} as const;

/** `--banner`. */
export const BANNER_OPTION = {
  long: "banner",
  help: ["print a message when the lines are held"],
} as const;

/** `--json`. */
export const JSON_OPTION = {
  long: "json",
  help: ["print one JSON object a line (see JSON below)"],
  extension: true,
} as const;

/** `--help`. */
export const HELP_OPTION = {
  long: "help",
  short: "h",
  help: ["print this help and exit"],
} as const;

/** `--version`. */
export const VERSION_OPTION = {
  long: "version",
  short: "v",
  help: ["print the version and exit"],
} as const;

/** The chapter on chips. */
export const CHIPS_CHAPTER = [
  "Chips",
  `A chip is given by number, name, path or label: '0', 'gpiochip0' and
'/dev/gpiochip0' are the same chip; a link to its device file is one more name.
Or by a stable identity: 'usb-serial:FT123', 'i2c:1-0020',
'device-tree:/soc/gpio@fe200000', 'label:soc-gpio+lines:58'.`,
] as const;

/** The chapter on lines. */
export const LINES_CHAPTER = [
  "Lines",
  `A line is given by its name. With --chip, a number is the line's offset on
that chip. Without it, CHIP/OFFSETS and CHIP/NAME are lines of a chip:
'gpiochip0/4', 'my-label/0-7,9', 'usb-serial:FT123/ESTOP'.`,
] as const;

/** The chapter on periods. */
export const PERIODS_CHAPTER = [
  "Periods",
  `A number with a unit: 'us', 'ms' (also meant without a unit), 's', 'm' or
'min' for minutes, 'h'. Fractions such as 0.5s are rounded to microseconds.`,
] as const;

/** Prints the help page. */
export async function printHelp(
  programName: string,
  usage: Usage,
): Promise<void> {
  writeOut(await helpPage(programName, usage));
}

/** Returns the help page, in lines of at most 80 characters. */
export async function helpPage(
  programName: string,
  usage: Usage,
): Promise<string> {
  // Loaded only here: a tool's start is felt.
  const { fitLines } = await import("../../text/fit_lines.ts");
  const inColumn = (lines: readonly string[], column: number) => {
    const text = fitLines(lines.join("\n"), WIDTH - column);
    return text.split("\n").map((line) => " ".repeat(column) + line);
  };
  const parts = [
    `Usage: ${programName} [OPTIONS] ${usage.operands}`,
    ...usage.about.map((text) => fitLines(text, WIDTH)),
    `Options:\n${
      usage.options.filter(({ hidden }) => !hidden)
        .map((option) => optionHelp(option, inColumn(option.help, HELP_COLUMN)))
        .join("\n")
    }`,
    ...usage.chapters.map(([title, lines]) =>
      `${title}:\n${inColumn([lines], 2).join("\n")}`
    ),
  ];
  return parts.join("\n\n") + "\n";
}

function optionHelp(
  { short, long, value }: OptionSpec,
  lines: readonly string[],
): string {
  const letter = short === undefined ? "    " : `-${short}, `;
  const name = `  ${letter}--${long}${
    value === undefined ? "" : ` <${value}>`
  }`;
  if (name.length > HELP_COLUMN - 2) return [name, ...lines].join("\n");
  return name.padEnd(HELP_COLUMN) + lines.join("\n").slice(HELP_COLUMN);
}

/**
 * Prints the program's name and version. Scripts tell libgpiod 1 from 2 by the
 * `v…` of the first line, so it names the libgpiod version that this is
 * compatible with.
 */
export async function printVersion(programName: string): Promise<void> {
  const { default: { version } } = await import("../../../deno.json", {
    with: { type: "json" },
  });
  writeOut(
    `${programName} (gpioagg ${version}) compatible with libgpiod v2.3\n`,
  );
}

function parseBias(text: string): typeof BIASES[number] {
  return parseChoice(BIASES, text, "bias");
}

/**
 * Returns `text` if it is one of `words`.
 *
 * @throws {ToolError} If it is not.
 */
export function parseChoice<const Word extends string>(
  words: readonly Word[],
  text: string,
  what: string,
): Word {
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  throw new ToolError(`invalid ${what}: ${text}`, {
    advice: `use ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
  });
}
