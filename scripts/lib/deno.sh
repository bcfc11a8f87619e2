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
    if [[ -x $directory/deno && ! -d $directory/deno ]]; then
      found=$directory/deno
      break
    fi
  done <<<"$PATH:"
  if [[ -n $found ]]; then
    # What was learned last time holds until something in the program's own
    # directory is replaced.
    if [[ -r $CACHE/deno-on-path ]]; then
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
      { mkdir -p "$CACHE" && printf '%s\t%s\t%s\n' "$DENO_PIN" "$found" \
        "${home%/*}" >"$CACHE/deno-on-path"; } 2>/dev/null || :
      DENO=$found
      return 0
    fi
  fi
  DENO=$CACHE/deno-$DENO_PIN/deno
  [[ -x $DENO ]]
}

# ensure_deno: finds Deno, or installs the pinned version into the cache.
ensure_deno() {
  find_deno || with_lock install_deno
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
  command -v npm >/dev/null || install_packages npm
  say "getting Deno $DENO_PIN from the npm registry"
  rm -rf "$target.new"
  mkdir -p "$target.new"
  quietly "$CACHE/log/deno" "cannot get @deno/$platform@$DENO_PIN" \
    "check the network, or put Deno $DENO_PIN on PATH: npm install -g deno@$DENO_PIN" \
    npm pack --loglevel=error --pack-destination "$target.new" \
    "@deno/$platform@$DENO_PIN"
  tar -xzf "$target.new"/*.tgz -C "$target.new" --strip-components=1
  rm -f "$target.new"/*.tgz
  chmod +x "$target.new/deno"
  version=$("$target.new/deno" --version) ||
    fail "the Deno that was downloaded does not run here" \
      "Deno needs glibc 2.35 or newer; put one that runs on PATH"
  [[ $version == "deno $DENO_PIN "* ]] ||
    fail "the npm registry's @deno/$platform@$DENO_PIN says ${version%%$'\n'*}" \
      "correct .deno-version"
  publish "$target.new" "$target"
  DENO=$target/deno
}
