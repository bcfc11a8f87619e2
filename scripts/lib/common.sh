# Common ground of the scripts: messages, the cache, keys, locks, packages of
# the machine. Sourced; needs REPOSITORY (the top of the checkout).

CACHE="${GPIOAGG_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/gpioagg}"

# say MESSAGE...: progress, for people; standard output is for results.
say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# fail WHAT TODO: ends the program with what failed and what to do about it.
fail() {
  printf '%s: %s\n  %s\n' "${0##*/}" "$1" "$2" >&2
  exit 1
}

# quietly LOG WHAT TODO COMMAND...: runs a command with its output in LOG,
# and shows the end of LOG when the command fails.
quietly() {
  local log=$1 what=$2 todo=$3
  shift 3
  mkdir -p "${log%/*}"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    fail "$what (the output is in $log)" "$todo"
  fi
}

# key_of TEXT...: a short key of its arguments and of standard input.
key_of() {
  local sum
  sum=$({ printf '%s\n' "$@" && cat; } | sha256sum)
  printf '%s' "${sum:0:16}"
}

# with_lock COMMAND...: runs a command while no other run of this program
# changes the cache.
with_lock() {
  mkdir -p "$CACHE" ||
    fail "cannot make the cache directory $CACHE" \
      "set GPIOAGG_CACHE to a directory that can be written"
  exec 9>"$CACHE/lock"
  if ! flock --nonblock 9; then
    say "waiting for another run that is filling $CACHE"
    flock 9
  fi
  "$@"
  exec 9>&-
}

# publish TEMPORARY FINAL: puts a finished artefact into its place at once, so
# that an interrupted run leaves nothing that looks finished.
publish() {
  rm -rf "$2"
  mv "$1" "$2"
}

# as_root COMMAND...: only for installing packages.
as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  else
    sudo --non-interactive "$@"
  fi
}

# install_packages PACKAGE...: installs those that the machine has not got.
install_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null ||
    fail "this machine has no dpkg: the test environment is built from Debian packages" \
      "run it on Debian 12 or newer (a container does); the unit tests need only Deno: deno task test"
  for package in "$@"; do
    [[ -e /var/lib/dpkg/info/$package.list ||
      -e /var/lib/dpkg/info/$package:$(dpkg --print-architecture).list ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $EUID -ne 0 ]] && ! sudo --non-interactive true 2>/dev/null; then
    fail "not installed and no right to install: ${missing[*]}" \
      "run as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  quietly "$CACHE/log/apt-update" "apt-get update failed" \
    "check the network and the machine's package sources" \
    as_root apt-get -q update
  quietly "$CACHE/log/apt-install" "cannot install ${missing[*]}" \
    "try by hand: apt-get install ${missing[*]}" \
    as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y install --no-install-recommends "${missing[@]}"
}
