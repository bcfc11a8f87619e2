/**
 * Live words of a command line without a start of gpioagg, which takes longer
 * than a user waits at a key: a script for sh that the completions of all shells
 * run. It reads what services and gpioagg have written for it; where that is
 * missing or old, gpioagg prints the words (`gpioagg complete-words`).
 *
 * @module
 */
import { WORDS_FILE, WORDS_FORM } from "../../text/words_file.ts";
import { RULE_KEYS, RULES } from "../../config/values/rules.ts";
import { USB_DEVICE } from "../../config/values/values.ts";
import { CONDITION_WORDS } from "../live/conditions.ts";
import { FORMAT_PAGES, quoted } from "./contexts.ts";
import { LINES_FILE } from "./lines_file.ts";
import { listValues, VIRTUAL_HEADS } from "./spec_words.ts";

const USB_DEVICES = (USB_DEVICE.schema as { readonly enum: string[] }).enum;
/** Settings of a socket, behind its path. */
const ACCESS_KEYS = "mode= owner= group=";

/**
 * Returns the script, for `sh -c`. Its arguments are gpioagg, the kind of word,
 * its text so far, and the first operand.
 *
 * @param commands Names of the commands that users are shown.
 */
export function liveWords(commands: readonly string[]): string {
  return `program=$1 kind=$2 text=$3 first=$4 own=\${XDG_RUNTIME_DIR-}

ask() {
  exec "$program" complete-words "$kind" "$text" "$first" "$@"
}

# offer WORD...: prints those that begin with the text.
offer() {
  for word; do
    case $word in "$text"*) printf "%s\\n" "$word" ;; esac
  done
}

# select_words ACTIONS FILE...: the same of files with fields between tabs.
select_words() {
  actions=$1
  shift
  text=$text first=$first head=$head chip=$chip end=$end LC_ALL=C awk -F '\\t' '
    function offer(word) {
      if (index(word, ENVIRON["text"]) == 1 && !seen[word]++) print word
    }'"$actions" "$@"
}

# services ACTIONS: words of the services that run; without actions their names.
services() {
  actions=$1
  set -- /run/gpioagg /run/gpioagg-*
  if [ -n "$own" ]; then set -- "$own/gpioagg" "$own"/gpioagg-* "$@"; fi
  for directory; do
    shift
    [ -S "$directory/api.sock" ] || [ -S "$directory/look.sock" ] || continue
    file=$directory/${WORDS_FILE}
    [ -e "$file" ] || file=$directory/vm/${WORDS_FILE}
    # Otherwise it is of a service that is gone, or of other users.
    # One that is no file could keep the reader waiting.
    [ -f "$file" ] && [ -r "$file" ] && read -r form pid rest <"$file" &&
      [ "$form" = ${WORDS_FORM} ] && [ -d "/proc/$pid" ] || ask
    set -- "$@" "$file"
    name=\${directory##*/}
    if [ -z "$actions" ]; then offer "\${name#gpioagg-}"; fi
  done
  if [ -n "$actions" ] && [ $# -gt 0 ]; then select_words "$actions" "$@"; fi
}

# Names of control sockets.
controls() {
  set -- /run/gpioagg /run/gpioagg/vm /run/gpioagg-*
  if [ -n "$own" ]; then set -- "$own/gpioagg" "$own"/gpioagg-* "$@"; fi
  for directory; do
    for file in "$directory"/*.control; do
      [ -e "$file" ] || continue
      name=\${file##*/} name=\${name%.control} name=\${name%.sock}
      case $name in *[!A-Za-z0-9._-]*) ask ;; esac
      offer "$name"
    done
  done
}

# Names of chips that gpioagg has made.
records() {
  set -- /run/gpioagg/kernel-chips/*
  if [ -n "$own" ]; then set -- "$own"/gpioagg/kernel-chips/* "$@"; fi
  for record; do
    [ -e "$record/record.json" ] || continue
    name=\${record##*/}
    case $name in *[!A-Za-z0-9._-]*) continue ;; esac
    offer "\${name%.*}"
  done
}

# A chip whose device file has another name than the kernel gives it.
ask_for_renamed() {
  for device in /sys/bus/gpio/devices/gpiochip*; do
    if [ -e "$device" ] && ! [ -e "/dev/\${device##*/}" ]; then ask; fi
  done
}

chips() {
  ask_for_renamed
  for device in /dev/gpiochip[0-9]*; do
    if [ -c "$device" ]; then offer "\${device#/dev/}"; fi
  done
}

# lines END: lines of chips, END behind each.
lines() {
  end=$1
  set --
  ask_for_renamed
  for device in /dev/gpiochip[0-9]*; do
    if [ -c "$device" ] && [ -r "$device" ] && [ -w "$device" ]; then
      set -- "$@" "$device"
    fi
  done
  case $text in
    */*)
      head=\${text%/*} device=\${text%/*}
      case $head in /*) ;; *) device=/dev/$head ;; esac
      chip=\${device#/dev/}
      case " $* " in
        *" $device "*) ;;
        *) if [ -e "$device" ]; then ask; else return 0; fi ;;
      esac
      ;;
  esac
  [ $# -gt 0 ] || return 0
  # Names stay as they are while their chips do: an inode is one chip's.
  read -r boot </proc/sys/kernel/random/boot_id
  state="$boot $(ls -di "$@" | tr "\\n" " ")"
  file=\${own:-/run}/gpioagg/${LINES_FILE}
  [ -f "$file" ] && [ -O "$file" ] && IFS= read -r known <"$file" && [ "$known" = "$state" ] ||
    ask "$state"
  select_words '
    FNR == 1 { next }
    ENVIRON["chip"] == "" { offer($1 "/"); if ($3 != "") offer($3 ENVIRON["end"]) }
    $1 == ENVIRON["chip"] {
      offer(ENVIRON["head"] "/" $2 ENVIRON["end"])
      if ($3 != "") offer(ENVIRON["head"] "/" $3 ENVIRON["end"])
    }' "$file"
}

# keys KEY...: keys of a SPEC that are not there yet, or the values of one.
keys() {
  before=\${text%,*} last=\${text##*,} given=,
  case $last in
    [0-9]*) return 0 ;;
${
    RULE_KEYS.filter((key) => listValues(key).length > 0).map((key) =>
      `    ${key}=*) values ${listValues(key).join(" ")} ;;`
    ).join("\n")
  }
  esac
  case $last in *=*) return 0 ;; esac
  case $before in *,*) given=,\${before#*,}, ;; esac
  for key; do
    case $given in
      *",\${key%=},"* | *",\${key%=}="*) [ "$last" = "\${key%=}" ] || continue ;;
    esac
    offer "$before,$key"
  done
}

values() {
  for value; do offer "$before,\${last%%=*}=$value"; done
}

head='' chip='' end=''
case $own in
  '') ;;
  # gpioagg knows whether another user's is used.
  /*) [ -O "$own" ] || ask ;;
  *) ask ;;
esac
case $kind in
  command) offer ${commands.map(quoted).join(" ")} ;;
  page) offer ${[...commands, ...FORMAT_PAGES].map(quoted).join(" ")} ;;
  service) services '' ;;
  aggregator) services '$1 == "aggregator" { offer($2) }' ;;
  served-line) services '$1 == "line" { offer($2 "." $3) }' ;;
  line-condition)
    case $text in
      *=*) for value in ${
    CONDITION_WORDS.join(" ")
  }; do offer "\${text%=*}=$value"; done ;;
      *) services '$1 == "line" { offer($2 "." $3 "=") }' ;;
    esac
    ;;
  forced-value)
    case $text in
      *=*) offer "\${text%=*}=0" "\${text%=*}=1" ;;
      *) services '$1 == "line" { offer($2 "." $3 "=") }' ;;
    esac
    ;;
  signal-map)
    case $text in
      *=*)
        head=\${text%%=*}
        services '$1 == "line" { offer(ENVIRON["head"] "=" $2 "." $3) }'
        ;;
    esac
    ;;
  socket) case $text in *,*) keys ${ACCESS_KEYS} ;; esac ;;
  adapter-socket)
    before=\${text%,*} last=\${text##*,}
    case $text,$last in
      *,*,device=*) values ${USB_DEVICES.join(" ")} ;;
      *,*,*) keys device= connect ${ACCESS_KEYS} ;;
    esac
    ;;
  sim) controls ;;
  pull)
    case $text in
      *=*) offer "\${text%=*}=0" "\${text%=*}=1" ;;
      # An aggregator of a service without words, or a path.
      *) services '
        $2 == ENVIRON["first"] { found = 1; if ($4 == "sim") offer($3 "=") }
        END { exit !found }' || ask ;;
    esac
    ;;
  kernel-chip) records ;;
  chip) chips ;;
  line) lines '' ;;
  line-value)
    case $text in
      *=*) offer "\${text%%=*}=0" "\${text%%=*}=1" ;;
      *) lines '=' ;;
    esac
    ;;
  spec)
    case $text in
      *\\\\*) ask ;;
      *,*) keys ${
    RULE_KEYS.map((key) => "isFlag" in RULES[key] ? key : `${key}=`).join(" ")
  } ;;
      *) offer ${VIRTUAL_HEADS.join(" ")}; lines '' ;;
    esac
    ;;
  *) ask ;;
esac`;
}
