/**
 * Completion of fish.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { CatalogCommand, CatalogOption } from "../usage/catalog.ts";
import { type Context, listContexts } from "./contexts.ts";
import { liveWords } from "./live_words.ts";

/** Returns the script, for fish's directory of completions. */
export function fishCompletion(commands: readonly CatalogCommand[]): string {
  const lines = [
    "# fish completion for gpioagg and its tools: gpioagg completions fish",
    "",
    "function __gpioagg_words",
    "    set -l words (commandline -opc) (commandline -ct)",
    "    set -l first ''",
    "    for word in $words[3..-2]",
    "        if not string match -q -- '-*' $word",
    "            set first $word",
    "            break",
    "        end",
    "    end",
    "    set -l token (commandline -ct | string replace -r '^--[a-z-]+=' '')",
    "    set -l kind $argv[1]",
    '    switch "$kind $token"',
    "        case 'socket *,*' 'adapter-socket *,*'",
    "        case 'socket *' 'adapter-socket *' 'aggregator */*' 'service */*' 'sim */*'",
    "            __fish_complete_path $token",
    "            return",
    "        case 'line *'",
    "            if string match -q -- '--api*' $words",
    "                set kind served-line",
    "            end",
    "        case 'forced-value *'",
    "            if contains -- --end $words",
    "                set kind served-line",
    "            end",
    "    end",
    `    set -l live ${quoted(liveWords(commands.map(({ name }) => name)))}`,
    '    sh -c $live gpioagg-words gpioagg $kind "$token" $first 2>/dev/null',
    "end",
    "",
    "# True within the command that these words name.",
    "function __gpioagg_in",
    "    set -l words (commandline -opc)",
    "    set -l last (math (count $argv) + 1)",
    "    test (count $words) -ge $last",
    '    and test "$words[2..$last]" = "$argv"',
    "end",
    "",
    "function __gpioagg_is_option",
    "    string match -q -- '-*' (commandline -ct)",
    "end",
    "",
    "complete -c gpioagg -f",
    "complete -c gpioagg -n 'test (count (commandline -opc)) -eq 1' -l version -s V -d 'print the version'",
    "complete -c gpioagg -n 'test (count (commandline -opc)) -eq 1' -l help -s h -d 'list the commands'",
    ...commands.map(({ name, summary }) =>
      `complete -c gpioagg -n 'test (count (commandline -opc)) -eq 1' -a ${name} -d ${
        quoted(summary)
      }`
    ),
    `complete -c gpioagg -n 'test (count (commandline -opc)) -eq 2; and __gpioagg_in help' -a ${
      quoted(commands.map(({ name }) => name).join(" "))
    }`,
  ];
  for (const { name, actions } of commands) {
    for (const action of actions) {
      lines.push(
        `complete -c gpioagg -n 'test (count (commandline -opc)) -eq 2; and __gpioagg_in ${name}' -a ${action.name} -d ${
          quoted(action.about)
        }`,
      );
    }
  }
  const withActions = new Set(
    commands.filter(({ actions }) => actions.length > 0).map(({ name }) =>
      name
    ),
  );
  for (const context of listContexts(commands)) {
    // Their options follow an action.
    if (!withActions.has(context.words)) {
      lines.push(
        ...contextLines(context, "gpioagg", `__gpioagg_in ${context.words}`),
      );
    }
  }
  for (const { toolName, name } of commands) {
    if (toolName === undefined) continue;
    lines.push(`complete -c ${toolName} -f`);
    const [context] = listContexts(commands.filter((one) => one.name === name));
    lines.push(...contextLines(context!, toolName, undefined));
  }
  return lines.join("\n") + "\n";
}

function contextLines(
  { options, operands }: Context,
  program: string,
  condition: string | undefined,
): string[] {
  const head = `complete -c ${program}${
    condition === undefined ? "" : ` -n ${quoted(condition)}`
  }`;
  const kinds = [...new Set(operands.map(formatArguments))].filter((text) =>
    text !== ""
  );
  return [
    ...options.flatMap((option) => [
      `${head} ${optionText(option)}`,
      ...optionalValues(option).map((word) =>
        `${head} -a ${quoted(word)} -d ${quoted(option.help)}`
      ),
    ]),
    ...kinds.map((text) =>
      `${head.replace(/'$/, "; and not __gpioagg_is_option'")} ${text}`
    ),
  ];
}

/** Words of an option that may have a value: fish knows no such options. */
function optionalValues(
  { long, isOptional, completes }: CatalogOption,
): string[] {
  return isOptional && typeof completes === "object"
    ? completes.map((word) => `--${long}=${word}`)
    : [];
}

function optionText(
  { long, short, value, isOptional, completes, help }: CatalogOption,
): string {
  const takesFile = completes === "file" || completes === "directory";
  return [
    `-l ${long}`,
    ...short === undefined ? [] : [`-s ${short}`],
    ...value === undefined || isOptional
      ? []
      : [takesFile ? "-r" : "-x", formatArguments(completes ?? [])],
    `-d ${quoted(help)}`,
  ].filter((text) => text !== "").join(" ");
}

/** Returns the arguments of `complete` for words of a kind. */
function formatArguments(completes: Completes): string {
  if (typeof completes !== "string") {
    return completes.length === 0 ? "" : `-a ${quoted(completes.join(" "))}`;
  }
  switch (completes) {
    case "file":
      return "-F";
    case "directory":
      return "-a '(__fish_complete_directories)'";
    case "program":
      return "-a '(__fish_complete_command)'";
    case "user":
      return "-a '(__fish_complete_users)'";
    case "group":
      return "-a '(__fish_complete_groups)'";
    default:
      return `-a '(__gpioagg_words ${completes})'`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
