# Finding Deno, or getting it. Sourced by scripts/environment, scripts/test
# and scripts/gpioagg; needs REPOSITORY and CACHE. Finding it again starts no
# process: gpioagg is a command-line tool, and its start is felt.

# read_pin: sets DENO_PIN to the version that the project was built with.
read_pin() {
  read -r DENO_PIN <"$REPOSITORY/.deno-version"
}

# accept_version VERSION: whether a Deno of this version will do: the same
# major version and not an older minor one.
accept_version() {
  local have want
  IFS=. read -r -a have <<<"$1"
  IFS=. read -r -a want <<<"$DENO_PIN"
  ((have[0] == want[0] && have[1] >= want[1]))
}

# find_deno: sets DENO to the program, from PATH or from the cache; false when
# there is none that will do.
find_deno() {
  local directory found='' pin='' path='' home='' version
  read_pin
  while IFS= read -r -d : directory; do
    # The working directory, which others may have filled, is no place for it.
    [[ $directory == /* ]] || continue
    if [[ -x $directory/deno && ! -d $directory/deno ]]; then
      found=$directory/deno
      break
    fi
  done <<<"$PATH:"
  if [[ -n $found ]]; then
    # What was learned last time holds until something in the program's own
    # directory is replaced.
    if [[ -f $CACHE/deno-on-path && -r $CACHE/deno-on-path ]]; then
      IFS=$'\t' read -r pin path home <"$CACHE/deno-on-path" || :
      if [[ $pin == "$DENO_PIN" && $path == "$found" &&
        $CACHE/deno-on-path -nt $home ]]; then
        DENO=$found
        return 0
      fi
    fi
    version=$("$found" --version 2>/dev/null) || version=''
    version=${version#deno }
    if [[ -n $version ]] && accept_version "${version%% *}"; then
      home=$(readlink -f "$found")
      # Only a memory: a cache that cannot be written costs a moment.
      remember_deno "$found" "${home%/*}" 2>/dev/null || :
      DENO=$found
      return 0
    fi
  fi
  DENO=$CACHE/deno-$DENO_PIN/deno
  [[ -x $DENO ]] || return 1
  check_owner "$CACHE" "$CACHE/deno-$DENO_PIN" "$DENO"
}

# remember_deno PROGRAM HOME: writes down what was learned, in a cache of this
# user: in another's, a link could have root write anywhere.
remember_deno() (
  make_cache && [[ -O $CACHE ]] || return 1
  umask go-w
  new=$CACHE/deno-on-path.$$
  rm -f "$new"
  # Makes the file, and follows no link.
  set -o noclobber
  printf '%s\t%s\t%s\n' "$DENO_PIN" "$1" "$2" >"$new" &&
    mv -f "$new" "$CACHE/deno-on-path"
)

# find_cache_of_checkout: sets OWNERS_CACHE to the cache of the checkout's owner,
# whose program this is anyway; false when there is none that only the owner (or
# root) can change.
find_cache_of_checkout() {
  local owner uid home='' path have mode
  read -r uid owner < <(stat --dereference --format='%u %U' "$REPOSITORY") || return 1
  [[ $owner =~ ^[A-Za-z_][A-Za-z0-9_.-]*$ ]] || return 1
  eval "home=~$owner"
  OWNERS_CACHE=$home/.cache/gpioagg
  for path in "$OWNERS_CACHE" "$@"; do
    [[ $path == /* ]] || path=$OWNERS_CACHE/$path
    [[ -x $path ]] || return 1
    read -r have mode < <(stat --dereference --format='%u %a' "$path") || return 1
    [[ ($have -eq 0 || $have -eq $uid) && $((8#$mode & 2)) -eq 0 ]] || return 1
  done
}

# choose_deno_dir: sets DENO_DIR to a directory in the cache that only the
# launcher's programs use, unless the user has chosen one: Deno keeps databases
# in it, and other Deno processes of this user must not get in their way. Where none
# can be made it is the one of the checkout's owner; false where there is none
# either, and Deno uses its default.
choose_deno_dir() {
  local directory=$CACHE/deno-dir
  if [[ -n ${DENO_DIR:-} ]]; then
    [[ ! -e $DENO_DIR ]] || OWNED_BY=DENO_DIR check_owner "$DENO_DIR"
    return 1
  fi
  [[ -O $CACHE || ! -e $CACHE ]] || check_owner "$CACHE"
  if ! { make_cache && { [[ -d $directory ]] || mkdir -m 700 "$directory"; }; } 2>/dev/null; then
    # The packages of the program are there, if it has ever run.
    find_cache_of_checkout deno-dir || return 1
    DENO_DIR=$OWNERS_CACHE/deno-dir
    return 0
  fi
  [[ -O $directory ]] || return 1
  DENO_DIR=$directory
}

# ensure_deno: finds Deno, or installs the pinned version into the cache.
ensure_deno() {
  find_deno && return
  # An emergency command must say at once what it lacks.
  { make_cache && [[ -w $CACHE ]]; } 2>/dev/null || {
    if find_cache_of_checkout "deno-$DENO_PIN" "deno-$DENO_PIN/deno"; then
      DENO=$OWNERS_CACHE/deno-$DENO_PIN/deno
      return
    fi
    fail "no Deno $DENO_PIN or newer on PATH or in a cache, and $CACHE cannot be written" \
      "put Deno on PATH, or set GPIOAGG_CACHE to a directory that has it or can be written"
  }
  with_lock install_deno
}

# fetch_package PACKAGE VERSION DIRECTORY: a package of the npm registry, whose
# checksum scripts/lib/deno.sha512 pins, unpacked into a new directory.
fetch_package() {
  local name=${1#@} tarball sum
  tarball=${name//\//-}-$2.tgz
  sum=$(grep -F "  $tarball" "$REPOSITORY/scripts/lib/deno.sha512") ||
    fail "scripts/lib/deno.sha512 has no checksum of $tarball" \
      "add it when a version changes"
  command -v npm >/dev/null || install_packages npm
  rm -rf "$3"
  make_cache
  check_owner "$CACHE"
  mkdir -m 755 "$3"
  # The prefix is an empty directory: npm would read an .npmrc of the directory
  # that the launcher was called in, which may be another user's.
  quietly "$CACHE/log/npm" "cannot get $1@$2" \
    "check the network; Deno $DENO_PIN on PATH will also do: npm install -g deno@$DENO_PIN" \
    npm pack --prefix "$3" --loglevel=error --pack-destination "$3" "$1@$2"
  (cd "$3" && sha512sum --quiet --check - <<<"$sum") >&2 ||
    fail "the registry's $tarball is not the file that scripts/lib/deno.sha512 pins" \
      "check which registry npm uses (npm config get registry)"
  tar -xzf "$3/$tarball" -C "$3" --strip-components=1 \
    --no-same-owner --no-same-permissions
  rm -f "$3/$tarball"
}

# install_deno: the npm registry's package for this machine, unpacked.
install_deno() {
  local target=$CACHE/deno-$DENO_PIN platform version
  [[ ! -x $target/deno ]] || return 0
  case $(uname -m) in
    x86_64) platform=linux-x64-glibc ;;
    aarch64) platform=linux-arm64-glibc ;;
    *) fail "no Deno is published for $(uname -m)" \
      "use an x86_64 or aarch64 machine" ;;
  esac
  say "getting Deno $DENO_PIN from the npm registry"
  fetch_package "@deno/$platform" "$DENO_PIN" "$target.new"
  chmod +x "$target.new/deno"
  version=$("$target.new/deno" --version) ||
    fail "the Deno that was downloaded does not run here" \
      "Deno needs glibc 2.27 or newer; put one that runs on PATH"
  [[ $version == "deno $DENO_PIN "* ]] ||
    fail "the npm registry's @deno/$platform@$DENO_PIN says ${version%%$'\n'*}" \
      "correct .deno-version"
  publish "$target.new" "$target"
  DENO=$target/deno
}
