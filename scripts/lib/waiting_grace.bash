# Functions in place of `sleep` and `read -t` for a shell program that expects
# quicker programs than a slow machine has: its waits get GRACE seconds more.
# What looks without waiting, or takes what is there, is left as it is. Sourced
# by the shell that starts the program.

GRACE=${GRACE:-3}

with_grace() {
  case $1 in
    0 | 0.0* | 0.1) printf '%s' "$1" ;;
    *) awk -v wait="${1%s}" -v grace="$GRACE" 'BEGIN { print wait + grace }' ;;
  esac
}

sleep() {
  command sleep "$(with_grace "$1")"
}

read() {
  # The names must not be those of the caller's variables.
  local grace_word grace_words=()
  while [[ $# -gt 0 ]]; do
    grace_word=$1
    shift
    case $grace_word in
      -t)
        grace_words+=(-t "$(with_grace "$1")")
        shift
        ;;
      -t*) grace_words+=(-t "$(with_grace "${grace_word#-t}")") ;;
      *) grace_words+=("$grace_word") ;;
    esac
  done
  # The caller says -r or not.
  # shellcheck disable=SC2162
  builtin read "${grace_words[@]}"
}

export GRACE
export -f with_grace sleep read
