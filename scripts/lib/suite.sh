# libgpiod's own test-suite for its command-line tools, from Debian's source
# package. Sourced by scripts/environment and scripts/libgpiod_tools_suite.

# The release whose libgpiod is taken, and the version that it must be.
SUITE_RELEASE=trixie
SUITE_VERSION=2.2
SUITE_FILES=(tools/gpio-tools-test.bash tests/scripts/gpiod-bash-test-helper.inc)

suite_directory() {
  printf '%s/libgpiod-suite-%s' "$CACHE" "$(key_of "$SUITE_RELEASE" \
    "$SUITE_VERSION" "$(declare -f fetch_suite)" </dev/null)"
}

# fetch_suite DIRECTORY: the suite's files, checked by Debian's signatures. After
# prepare_downloads.
fetch_suite() {
  local list=$CACHE/apt/$SUITE_RELEASE-source.list uri name size hash file
  install_packages xz-utils
  mkdir -p "$CACHE/apt" "$1.new"
  printf 'deb-src [signed-by=%s] %s %s main\n' "$DEBIAN_KEYRING" \
    "$GPIOAGG_DEBIAN_MIRROR" "$SUITE_RELEASE" >"$list"
  say "getting libgpiod's source package from Debian"
  quietly "$CACHE/log/source-update" "cannot read Debian's package lists" \
    "check the network; set GPIOAGG_DEBIAN_MIRROR to choose another mirror" \
    private_apt "$SUITE_RELEASE-source" apt-get -q update --error-on=any \
    -o APT::Get::List-Cleanup=false
  read -r uri name size hash < <(private_apt "$SUITE_RELEASE-source" \
    apt-get -qq --print-uris --download-only source libgpiod |
    grep '\.orig\.tar\.xz') ||
    fail "Debian $SUITE_RELEASE has no source of libgpiod" \
      "set GPIOAGG_DEBIAN_MIRROR to a complete mirror"
  [[ $name == "libgpiod_$SUITE_VERSION"* ]] ||
    fail "Debian $SUITE_RELEASE has $name ($size bytes), not libgpiod $SUITE_VERSION" \
      "adapt scripts/lib/suite.sh"
  quietly "$CACHE/log/source-download" "cannot download $name" \
    "check the network and run the command again" \
    private_apt "$SUITE_RELEASE-source" /usr/lib/apt/apt-helper \
    download-file "${uri//\'/}" "$1.new/$name" "$hash"
  for file in "${SUITE_FILES[@]}"; do
    tar -xJf "$1.new/$name" -C "$1.new" --strip-components=1 --wildcards \
      "*/$file"
    mv "$1.new/$file" "$1.new/"
  done
  rm -r "$1.new/$name" "$1.new/tools" "$1.new/tests"
}

# ensure_suite: the suite, and the shell's test library that it is written for.
ensure_suite() {
  local directory
  install_packages shunit2
  directory=$(suite_directory)
  [[ ! -d $directory ]] || return 0
  prepare_downloads
  rm -rf "$directory.new"
  fetch_suite "$directory"
  publish "$directory.new" "$directory"
}
