/**
 * Tables of the commands' options and operands: the one source of parsing,
 * `--help`, completion and manual pages.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";

/** An option of a command. */
export interface OptionUsage {
  /** "optional": a flag, or a value after `=`. "values" can be repeated. */
  readonly kind: "flag" | "value" | "values" | "optional";
  readonly short?: string;
  /** Placeholder of its value. */
  readonly value?: string;
  /** Explanation, in one line of any length. */
  readonly help: string;
  /** Heading of the options that begin here. */
  readonly heading?: string;
  readonly completes?: Completes;
}

/** Options by their long names. */
export type Options = Readonly<Record<string, OptionUsage>>;

/** Usage of a command. */
export interface CommandUsage {
  /** Its name after `gpioagg`. */
  readonly name: string;
  /** Forms of its arguments. */
  readonly synopsis: readonly string[];
  /** Paragraphs; indented ones are printed as they are. */
  readonly about: string;
  /** Operands in order; the last one stands for all that follow. */
  readonly operands?: readonly Completes[];
  readonly options: Options;
  /** Words that the command begins with, each with options of its own. */
  readonly actions?: Readonly<Record<string, ActionUsage>>;
  /** Paragraphs after the options. */
  readonly after?: string;
}

/** Usage of an action of a command. */
interface ActionUsage {
  readonly about: string;
  readonly operands?: readonly Completes[];
  readonly options: Options;
}

/** `--help`. */
export const HELP_OPTION = {
  kind: "flag",
  short: "h",
  help: "this text",
} as const satisfies OptionUsage;

/** `--json` of commands that print one object. */
export const JSON_OPTION = {
  kind: "flag",
  help: "one JSON object on standard output",
} as const satisfies OptionUsage;

/** `--api` of clients. */
export const API_OPTION = {
  kind: "value",
  value: "PATH",
  help:
    "the service's control socket, or NAME of gpioagg@NAME.service; default: " +
    "the service found in $XDG_RUNTIME_DIR or /run (gpioagg/ and gpioagg-NAME/)",
  completes: "service",
} as const satisfies OptionUsage;

/** `--line` of all commands that take SPECs. */
export const LINE_OPTION = {
  kind: "values",
  value: "SPEC",
  help: "add lines, as for gpioagg serve",
  completes: "spec",
} as const satisfies OptionUsage;

/** `--owner`, `--group` and `--mode` of what a command makes. */
export const ACCESS_OPTIONS = {
  mode: {
    kind: "value",
    value: "MODE",
    help: "permissions of the socket, or of the device node, such as 660",
  },
  owner: {
    kind: "value",
    value: "USER",
    help: "its owner",
    completes: "user",
  },
  group: {
    kind: "value",
    value: "GROUP",
    help: "its group",
    completes: "group",
  },
} as const satisfies Options;

/** Returns an option with the placeholder of its value: `--since TIME`. */
export function valueText(
  name: string,
  { value = "VALUE" }: OptionUsage,
): string {
  return `--${name} ${value}`;
}

/** Returns the option as `--help` shows it: `--respawn[=RULE]`. */
export function optionText(name: string, option: OptionUsage): string {
  const { short, value = "VALUE", kind } = option;
  const letter = short === undefined ? "" : `-${short}, `;
  const ending = kind === "flag"
    ? ""
    : kind === "optional"
    ? `[=${value}]`
    : ` ${value}`;
  return `${letter}--${name}${ending}`;
}
