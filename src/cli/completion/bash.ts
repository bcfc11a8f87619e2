/**
 * Completion of bash.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { CatalogCommand } from "../usage/catalog.ts";
import { type Context, isRepeated, listContexts, quoted } from "./contexts.ts";
import { liveWords } from "./live_words.ts";

/** Returns the script, for `source` or bash-completion's directory. */
export function bashCompletion(commands: readonly CatalogCommand[]): string {
  const contexts = listContexts(commands);
  const tools = commands.flatMap(({ toolName, name }) =>
    toolName === undefined ? [] : [{ toolName, name }]
  );
  return `# bash completion for gpioagg and its tools: gpioagg completions bash

# Options of a command.
_gpioagg_options() {
  case $1 in
${contexts.map(optionsCase).join("\n")}
  esac
}

# Kind of an option's value: nothing if it has none, "?KIND" if it may be omitted.
_gpioagg_value() {
  case "$1 $2" in
${contexts.flatMap(valueCases).join("\n")}
  esac
}

# Kind of an operand, from 0 on.
_gpioagg_operand() {
  case "$1 $2" in
${contexts.flatMap(operandCases).join("\n")}
  esac
}

# Actions of a command.
_gpioagg_actions() {
  case $1 in
${
    commands.filter(({ actions }) => actions.length > 0).map((
      { name, actions },
    ) => `    ${name}) echo '${actions.map(({ name }) => name).join(" ")}' ;;`)
      .join("\n")
  }
  esac
}

# Prints live words: see the comments in it.
_gpioagg_live=${quoted(liveWords(commands.map(({ name }) => name)))}

# _gpioagg_reply KIND WORD: sets COMPREPLY. $first is the first operand; $api and
# $ends are set behind these options.
_gpioagg_reply() {
  local kind=$1
  COMPREPLY=()
  case "$kind $2" in
    socket\\ *,* | adapter-socket\\ *,*) ;;
    socket\\ * | adapter-socket\\ *) kind=file ;;
    # Also known by their paths.
    aggregator\\ */* | service\\ */* | sim\\ */*) kind=file ;;
    # Lines of a service, not of this host.
    line\\ *) if [[ -n $api ]]; then kind=served-line; fi ;;
    forced-value\\ *) if [[ -n $ends ]]; then kind=served-line; fi ;;
  esac
  case $kind in
    '') return ;;
    words:*) mapfile -t COMPREPLY < <(compgen -W "\${kind#words:}" -- "$2") ;;
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$2")
      return
      ;;
    directory)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$2")
      return
      ;;
    program) mapfile -t COMPREPLY < <(compgen -c -- "$2") ;;
    user) mapfile -t COMPREPLY < <(compgen -u -- "$2") ;;
    group) mapfile -t COMPREPLY < <(compgen -g -- "$2") ;;
    *)
      mapfile -t COMPREPLY < <(
        sh -c "$_gpioagg_live" gpioagg-words "$program" "$kind" "$2" "$first" \\
          2>/dev/null
      )
      ;;
  esac
  local i
  for i in "\${!COMPREPLY[@]}"; do
    if [[ \${COMPREPLY[i]} == *[[:space:]\\'\\"\\\\\\$\\\`\\&\\;\\|\\<\\>\\(\\)\\*\\?\\[\\{\\!\\#\\~]* ]]; then
      printf -v "COMPREPLY[i]" '%q' "\${COMPREPLY[i]}"
    fi
  done
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[/=,] ]]; then
    compopt -o nospace 2>/dev/null
  fi
}

_gpioagg() {
  local program=gpioagg context='' first='' cur kind word before i n=0 ended= api= ends=
  local -a words
  # The words as a command gets them: = and : separate none.
  if [[ -n \${COMP_LINE-} ]]; then
    before=\${COMP_LINE:0:\${COMP_POINT:-\${#COMP_LINE}}}
    read -ra words <<<"$before"
    if [[ $before == *[[:space:]] ]]; then words+=(''); fi
  else
    words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
  fi
  local last=$((\${#words[@]} - 1))
  cur=\${words[last]}
  COMPREPLY=()
  case \${words[0]##*/} in
${
    tools.map(({ toolName, name }) => `    ${toolName}) context=${name} i=1 ;;`)
      .join("\n")
  }
    *)
      program=\${words[0]}
      if [[ $last -eq 1 ]]; then
        _gpioagg_reply 'words:${
    [...commands.map(({ name }) => name), "help", "--help", "--version"].join(
      " ",
    )
  }' "$cur"
        return
      fi
      context=\${words[1]} i=2
      if [[ $context == help ]]; then
        if [[ $last -eq 2 ]]; then
          _gpioagg_reply 'words:${
    commands.map(({ name }) => name).join(" ")
  }' "$cur"
        fi
        return
      fi
      ;;
  esac
  if [[ -n $(_gpioagg_actions "$context") ]]; then
    if [[ $last -eq $i ]]; then
      _gpioagg_reply "words:$(_gpioagg_actions "$context") --help" "$cur"
      return
    fi
    context="$context \${words[i]}"
    i=$((i + 1))
  fi
  while [[ $i -lt $last ]]; do
    word=\${words[i]}
    i=$((i + 1))
    case $ended$word in
      --api | --api=*) api=1 ;;
      --end) ends=1 ;;
    esac
    if [[ -n $ended || $word != -* || $word == - ]]; then
      if [[ $n -eq 0 ]]; then first=$word; fi
      n=$((n + 1))
      # Options of a VMM, or of a tool that reads none behind operands.
      if [[ $context == run ]]; then ended=1; fi
    elif [[ $word == -- ]]; then ended=1
    elif [[ $word != *=* ]]; then
      kind=$(_gpioagg_value "$context" "$word")
      if [[ -n $kind && $kind != \\?* ]]; then
        if [[ $i -eq $last ]]; then
          _gpioagg_reply "$kind" "$cur"
          _gpioagg_trim "$cur"
          return
        fi
        i=$((i + 1))
      fi
    fi
  done
  if [[ -z $ended && $cur == --*=* ]]; then
    kind=$(_gpioagg_value "$context" "\${cur%%=*}")
    _gpioagg_reply "\${kind#\\?}" "\${cur#*=}"
    COMPREPLY=("\${COMPREPLY[@]/#/\${cur%%=*}=}")
  elif [[ -z $ended && $cur == -* ]]; then
    _gpioagg_reply "words:$(_gpioagg_options "$context")" "$cur"
  elif [[ $context == run && $n -gt 0 ]]; then
    _gpioagg_reply file "$cur"
  else
    kind=$(_gpioagg_operand "$context" "$n")
    _gpioagg_reply "$kind" "$cur"
  fi
  _gpioagg_trim "$cur"
}

# Removes what bash takes for words before: it splits them at = and :.
_gpioagg_trim() {
  local head=\${1%"\${1##*[=:]}"}
  if [[ $COMP_WORDBREAKS != *=* ]]; then head=\${1%"\${1##*:}"}; fi
  COMPREPLY=("\${COMPREPLY[@]#"$head"}")
}

complete -F _gpioagg gpioagg${
    tools.map(({ toolName }) => ` ${toolName}`).join("")
  }
`;
}

function optionsCase({ words, options }: Context): string {
  const names = options.flatMap(({ long, short, isOptional }) => [
    ...short === undefined ? [] : [`-${short}`],
    `--${long}`,
    ...isOptional ? [`--${long}=`] : [],
  ]);
  return `    ${quoted(words)}) echo '${names.join(" ")}' ;;`;
}

function valueCases({ words, options }: Context): string[] {
  return options.flatMap(({ long, short, value, isOptional, completes }) => {
    if (value === undefined) return [];
    const kind = `${isOptional ? "?" : ""}${formatKind(completes) || "words:"}`;
    return [`--${long}`, ...short === undefined ? [] : [`-${short}`]].map((
      name,
    ) => `    ${quoted(`${words} ${name}`)}) echo ${quoted(kind)} ;;`);
  });
}

function operandCases({ words, operands }: Context): string[] {
  return operands.map((completes, i) => {
    // The last one is that of all others; a single name is not repeated.
    const place = i === operands.length - 1 && isRepeated(completes)
      ? `"${words} "*`
      : quoted(`${words} ${i}`);
    return `    ${place}) echo ${quoted(formatKind(completes))} ;;`;
  });
}

function formatKind(completes: Completes | undefined): string {
  return completes === undefined
    ? ""
    : typeof completes === "string"
    ? completes
    : `words:${completes.join(" ")}`;
}
