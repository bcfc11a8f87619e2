# Debian packages of other releases, without touching the machine's own
# package system: a private apt configuration in the cache, and packages
# unpacked (never installed) next to everything that they depend on.

# The releases that anything here comes from.
DEBIAN_SUITES=(bookworm bookworm-backports trixie trixie-backports)
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_mirror: the mirror that the machine itself uses.
debian_mirror() {
  if [[ -n ${GPIOAGG_DEBIAN_MIRROR:-} ]]; then
    printf '%s' "$GPIOAGG_DEBIAN_MIRROR"
    return
  fi
  local site release rest
  while IFS='|' read -r site release rest; do
    # The main archive: not the security one, whose releases are named so.
    if [[ $release != *-* && $site == */debian ]]; then
      printf '%s' "$site"
      return
    fi
  done < <(apt-get indextargets --format '$(SITE)|$(RELEASE)|' \
    'Created-By: Packages' 2>/dev/null)
  fail "found no Debian mirror in the machine's own apt configuration" \
    "set GPIOAGG_DEBIAN_MIRROR to the address of one (ending in /debian)"
}

# private_apt SUITES PROGRAM ARGUMENT...: apt-get or apt-cache that knows only
# these suites (words in one argument) and believes that nothing is installed,
# so that dependencies are always complete.
private_apt() {
  local suites=$1 program=$2 suite sources
  shift 2
  local directory="$CACHE/apt"
  sources="$directory/${suites// /+}.list"
  mkdir -p "$directory/lists/partial" "$directory/archives/partial"
  if [[ ! -e $sources ]]; then
    [[ -r $DEBIAN_KEYRING ]] ||
      fail "no $DEBIAN_KEYRING to check Debian's packages with" \
        "install the package debian-archive-keyring"
    for suite in $suites; do
      printf 'deb [signed-by=%s] %s %s main\n' \
        "$DEBIAN_KEYRING" "$(debian_mirror)" "$suite"
    done >"$sources.new"
    mv "$sources.new" "$sources"
    : >"$directory/status"
  fi
  "$program" \
    -o "Dir::Etc::sourcelist=$sources" \
    -o "Dir::Etc::sourceparts=/dev/null" \
    -o "Dir::Etc::preferences=/dev/null" \
    -o "Dir::Etc::preferencesparts=/dev/null" \
    -o "Dir::State=$directory" \
    -o "Dir::State::lists=$directory/lists" \
    -o "Dir::State::status=$directory/status" \
    -o "Dir::Cache=$directory" \
    -o "Dir::Cache::archives=$directory/archives" \
    -o "Dir::Cache::pkgcache=" \
    -o "Dir::Cache::srcpkgcache=" \
    -o "APT::Sandbox::User=" \
    -o "APT::Install-Recommends=false" \
    "$@"
}

# refresh_lists: brings the private package lists up to date, once in a run.
refresh_lists() {
  [[ -z ${LISTS_ARE_FRESH:-} ]] || return 0
  install_packages debian-archive-keyring
  # The mirror may have changed since the last time.
  rm -f "$CACHE"/apt/*.list
  say "reading the package lists of ${DEBIAN_SUITES[*]}"
  quietly "$CACHE/log/private-apt-update" \
    "cannot read Debian's package lists" \
    "check the network; set GPIOAGG_DEBIAN_MIRROR to choose another mirror" \
    private_apt "${DEBIAN_SUITES[*]}" apt-get -q update \
    --error-on=any
  LISTS_ARE_FRESH=1
}

# unpack_packages SUITES TARGET PACKAGE...: the packages and all that they
# depend on, unpacked below TARGET. The first suite that is named last wins
# where several have a package ("bookworm bookworm-backports").
unpack_packages() {
  local suites=$1 target=$2 archive archives
  shift 2
  refresh_lists
  archives="$CACHE/apt/archives"
  rm -f "$archives"/*.deb
  quietly "$CACHE/log/download" "cannot download $*" \
    "check the network and run the command again" \
    private_apt "$suites" apt-get -q -y --download-only \
    --target-release "${suites##* }" install "$@"
  mkdir -p "$target"
  for archive in "$archives"/*.deb; do
    quietly "$CACHE/log/unpack" "cannot unpack $archive" \
      "check that the disk is not full" dpkg-deb -x "$archive" "$target"
  done
  for archive in "$archives"/*.deb; do
    basename "$archive" .deb
  done >"$target/packages"
  rm -f "$archives"/*.deb
  rm -rf "$target/usr/share/doc" "$target/usr/share/man" \
    "$target/usr/share/locale" "$target/var"
}

# write_wrapper FINAL PROGRAM ARGUMENT...: makes FINAL.new/bin/PROGRAM, which
# runs the usr/bin/PROGRAM that was unpacked below FINAL.new/root with the
# loader and the libraries that were unpacked with it, so that it runs on a
# machine of any release. FINAL is where all that will be published. An
# argument that begins with "@" is a path below FINAL.
write_wrapper() {
  local final=$1 program=$2 loader libraries argument
  shift 2
  loader=$(cd "$final.new" && find root -name 'ld-linux-*.so.*' | sort | head -n 1)
  [[ -n $loader ]] ||
    fail "no dynamic loader among the packages unpacked for $program" \
      "remove $final.new and run the command again"
  libraries=$(cd "$final.new" && find root -maxdepth 3 -type d -path '*/lib/*-linux-gnu' |
    sort | sed "s|^|$final/|" | paste -sd :)
  mkdir -p "$final.new/bin"
  {
    printf '#!/bin/sh\n'
    printf '# %s with the libraries that were unpacked with it.\n' "$program"
    printf 'exec "%s" --library-path "%s" "%s"' \
      "$final/$loader" "$libraries" "$final/root/usr/bin/$program"
    for argument in "$@"; do
      [[ $argument == @* ]] && argument=$final/${argument#@}
      printf ' "%s"' "$argument"
    done
    printf ' "$@"\n'
  } >"$final.new/bin/$program"
  chmod +x "$final.new/bin/$program"
}
