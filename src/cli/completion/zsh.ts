/**
 * Completion of zsh.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { CatalogCommand, CatalogOption } from "../usage/catalog.ts";
import { isRepeated, quoted } from "./contexts.ts";
import { liveWords } from "./live_words.ts";

/** Returns the function `_gpioagg`, for a directory of `$fpath`. */
export function zshCompletion(commands: readonly CatalogCommand[]): string {
  const tools = commands.filter(({ toolName }) => toolName !== undefined);
  return `#compdef gpioagg ${tools.map(({ toolName }) => toolName).join(" ")}
# zsh completion for gpioagg and its tools: gpioagg completions zsh

# _gpioagg_words KIND: adds words that gpioagg knows.
_gpioagg_words() {
  local -a found plain open
  local prefix=$PREFIX kind=$1
  case "$kind $prefix" in
    socket\\ *,*|adapter-socket\\ *,*) ;;
    socket\\ *|adapter-socket\\ *) _files; return ;;
    # Also known by their paths.
    aggregator\\ */*|service\\ */*|sim\\ */*) _files; return ;;
    # Lines of a service, not of this host.
    line\\ *) (( \${words[(I)--api*]} )) && kind=served-line ;;
    forced-value\\ *) (( \${words[(I)--end]} )) && kind=served-line ;;
  esac
  local live=${quoted(liveWords(commands.map(({ name }) => name)))}
  found=("\${(@f)$(sh -c $live gpioagg-words gpioagg $kind "$prefix" "\${line[1]-}" 2>/dev/null)}")
  found=(\${found:#})
  open=(\${(M)found:#*[/=,]})
  plain=(\${found:#*[/=,]})
  (( \${#open} )) && compadd -S '' -- $open
  (( \${#plain} )) && compadd -- $plain
}

_gpioagg_command() {
  case $1 in
${commands.map(commandCase).join("\n")}
  esac
}

_gpioagg() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  case $service in
${
    tools.map(({ toolName, name }) =>
      `    ${toolName}) _gpioagg_command ${name}; return ;;`
    ).join("\n")
  }
  esac
  _arguments -C \\
    '(- *)'{-h,--help}'[list the commands]' \\
    '(- *)'{-V,--version}'[print the version]' \\
    '1: :->command' \\
    '*:: :->arguments'
  case $state in
    command)
      local -a commands=(
${
    [...commands, { name: "help", summary: "describe a command" }].map((
      { name, summary },
    ) => `        ${quoted(`${name}:${summary}`)}`).join("\n")
  }
      )
      _describe -t commands command commands
      ;;
    arguments)
      if [[ $words[1] == help ]]; then
        _values command ${commands.map(({ name }) => name).join(" ")}
      else
        _gpioagg_command $words[1]
      fi
      ;;
  esac
}

if [[ $funcstack[1] == _gpioagg ]]; then
  _gpioagg "$@"
else
  compdef _gpioagg gpioagg ${tools.map(({ toolName }) => toolName).join(" ")}
fi
`;
}

function commandCase(
  { name, options, operands, actions }: CatalogCommand,
): string {
  if (actions.length === 0) {
    return `    ${name})
      _arguments -S ${specs(options, operands)}
      ;;`;
  }
  return `    ${name})
      _arguments -C '(- *)'{-h,--help}'[this text]' '1: :->action' '*:: :->arguments'
      case $state in
        action) _values action ${
    actions.map(({ name, about }) => quoted(`${name}[${escaped(about)}]`)).join(
      " ",
    )
  } ;;
        arguments)
          case $words[1] in
${
    actions.map((action) =>
      `            ${action.name}) _arguments -S ${
        specs([...action.options, ...options], action.operands)
      } ;;`
    ).join("\n")
  }
          esac
          ;;
      esac
      ;;`;
}

function specs(
  options: readonly CatalogOption[],
  operands: readonly Completes[],
): string {
  return [
    ...options.flatMap(optionSpecs),
    ...operands.map((completes, i) => {
      const isLast = i === operands.length - 1;
      const place = isLast && isRepeated(completes) ? "*" : String(i + 1);
      return quoted(
        `${place}:${formatMessage(completes)}:${formatAction(completes)}`,
      );
    }),
    ...operands.includes("program") ? ["'*::argument:_normal'"] : [],
  ].join(" \\\n        ");
}

function optionSpecs(
  { long, short, value, isOptional, isRepeated, completes, help }:
    CatalogOption,
): string[] {
  const names = [`--${long}`, ...short === undefined ? [] : [`-${short}`]];
  const excluded = isRepeated
    ? "*"
    : names.length > 1
    ? `(${names.join(" ")})`
    : "";
  return names.map((name) => {
    const sign = value === undefined
      ? ""
      : isOptional
      ? "=-"
      : name.startsWith("--")
      ? "="
      : "+";
    const argument = value === undefined
      ? ""
      : `${isOptional ? "::" : ":"}${escaped(value)}:${
        completes === undefined ? "" : formatAction(completes)
      }`;
    return quoted(`${excluded}${name}${sign}[${escaped(help)}]${argument}`);
  });
}

function formatMessage(completes: Completes): string {
  return typeof completes === "string" ? completes : "word";
}

function formatAction(completes: Completes): string {
  if (typeof completes !== "string") {
    return completes.length === 0
      ? " "
      : `(${completes.map(escaped).join(" ")})`;
  }
  switch (completes) {
    case "file":
      return "_files";
    case "directory":
      return "_directories";
    case "program":
      return "_command_names -e";
    case "user":
      return "_users";
    case "group":
      return "_groups";
    default:
      // The space: without options for compadd.
      return ` _gpioagg_words ${completes}`;
  }
}

/** Returns text in which the characters of a spec have no meaning. */
function escaped(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, "\\$&");
}
