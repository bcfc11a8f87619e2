# Common ground of the scripts: messages, the cache, keys, locks, packages of
# the machine. Sourced; needs REPOSITORY (the top of the checkout).

# Where HOME is not set, or is no absolute path, it is what the passwd database
# has (the shell asks it for ~), and all programs that are started here are told
# the same. A cache below the working directory would be another one each time.
if [[ ${HOME:-} != /* ]]; then
  unset HOME
  HOME=~
fi
export HOME
[[ ${XDG_CACHE_HOME:-/} == /* ]] || unset XDG_CACHE_HOME

CACHE="${GPIOAGG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpioagg}"
# sudo may keep another user's HOME, whose cache is not root's to use.
if [[ $EUID -eq 0 && -z ${GPIOAGG_CACHE:-}${XDG_CACHE_HOME:-} && -d $HOME && ! -O $HOME ]]; then
  CACHE=$(unset HOME && echo ~)/.cache/gpioagg
fi

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

# make_cache: makes the cache directory, for its owner alone to write, whatever
# the umask is.
make_cache() {
  [[ -d $CACHE ]] || (umask go-w && mkdir -p "$CACHE")
}

# check_owner PATH...: fails unless each belongs to this user or to root and is
# not writable by everyone. A cache of another user (sudo may keep HOME) would
# otherwise decide which program runs with this user's rights.
check_owner() {
  local path owner mode
  for path in "$@"; do
    read -r owner mode < <(stat --dereference --format='%u %a' "$path") ||
      fail "cannot look at $path" "check the cache directory $CACHE"
    if [[ ($owner -ne 0 && $owner -ne $EUID) || $((8#$mode & 2)) -ne 0 ]]; then
      fail "no program is run from $path: it has owner $owner and mode $mode" \
        "set ${OWNED_BY:-GPIOAGG_CACHE} to a directory of your own"
    fi
  done
}

# with_lock COMMAND...: runs a command while no other run of this program
# changes the cache; with the command's status.
with_lock() {
  local status mask
  { make_cache && [[ -w $CACHE ]]; } 2>/dev/null ||
    fail "the cache directory $CACHE cannot be made or written" \
      "set GPIOAGG_CACHE to a directory that can be written"
  # What another user has put there may be a link to a file of this one's.
  check_owner "$CACHE"
  mask=$(umask)
  umask go-w
  exec 9>"$CACHE/lock"
  if ! flock --nonblock 9; then
    say "waiting for another run that is filling $CACHE"
    flock 9
  fi
  # Bare, since after "||" no failure in the command would end it.
  "$@"
  status=$?
  exec 9>&-
  umask "$mask"
  return "$status"
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

# may_install: whether this user may install packages.
may_install() {
  [[ $EUID -eq 0 ]] || sudo --non-interactive true 2>/dev/null
}

# apt_as_root ARGUMENT...: apt-get, and once more every five seconds while another
# program has apt's locks, as is usual on a machine that has just started. Of the
# locks, apt itself waits for dpkg's only.
apt_as_root() {
  local log=$CACHE/log/apt status end=$((SECONDS + 300))
  mkdir -p "${log%/*}"
  while :; do
    status=0
    # A service that a package starts gets neither a pipe nor the lock of the
    # cache: it would keep them.
    as_root env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      apt-get -q -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 9>&- || status=$?
    if [[ $status -eq 0 || $SECONDS -ge $end ]] ||
      ! grep -q 'Could not get lock' "$log"; then
      break
    fi
    sleep 5
  done
  cat "$log"
  return "$status"
}

# update_machine_lists: reads the lists of the machine's own package sources,
# once in a run.
update_machine_lists() {
  [[ -z ${MACHINE_LISTS_ARE_FRESH:-} ]] || return 0
  apt_as_root update || return
  MACHINE_LISTS_ARE_FRESH=1
}

# install_packages PACKAGE...: installs those that the machine has not got.
install_packages() {
  local package known missing=()
  command -v dpkg-query >/dev/null ||
    fail "this machine has no dpkg: the test environment is built from Debian packages" \
      "run it on Debian 12 or newer (a container does); the unit tests need only Deno: deno task test"
  # One that was removed may still be known, by its configuration files.
  known=$(dpkg-query --show \
    --showformat '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null) || :
  for package in "$@"; do
    [[ $'\n'$known$'\n' == *$'\n'"$package installed"$'\n'* ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  may_install ||
    fail "not installed and no right to install: ${missing[*]}" \
      "run as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  quietly "$CACHE/log/apt-update" "apt-get update failed" \
    "check the network and the machine's package sources" \
    update_machine_lists
  quietly "$CACHE/log/apt-install" "cannot install ${missing[*]}" \
    "try by hand: apt-get install ${missing[*]}" \
    apt_as_root -y install --no-install-recommends "${missing[@]}"
}
