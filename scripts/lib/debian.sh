# Debian packages of other releases, without touching the machine's own
# package system: a private apt configuration in the cache, and packages
# unpacked (never installed) next to everything that they depend on.

# The releases that anything here comes from.
DEBIAN_SUITES=(bookworm bookworm-backports trixie trixie-backports)
# Where Debian's own images have it from.
DEBIAN_DEFAULT_MIRROR=http://deb.debian.org/debian
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# machine_mirror: the mirror of the machine's own package sources; nothing where
# its apt has no lists of Debian's main archive.
machine_mirror() {
  local site release origin label
  # Apt has variables of its own.
  # shellcheck disable=SC2016
  while IFS='|' read -r site release origin label; do
    # Security updates and the like may be on mirrors that have nothing else.
    if [[ $origin == Debian && $label == Debian && $release != *[-/]* &&
      $site != cdrom:* ]]; then
      printf '%s' "$site"
      return
    fi
  done < <(apt-get indextargets \
    --format '$(SITE)|$(RELEASE)|$(ORIGIN)|$(LABEL)' \
    'Created-By: Packages' 2>/dev/null)
}

# choose_mirror: sets GPIOAGG_DEBIAN_MIRROR, once in a run.
choose_mirror() {
  [[ -z ${GPIOAGG_DEBIAN_MIRROR:-} ]] || return 0
  GPIOAGG_DEBIAN_MIRROR=$(machine_mirror)
  # Apt knows what its sources are when it has read them. The images of
  # containers come without lists.
  if [[ -z $GPIOAGG_DEBIAN_MIRROR ]] && may_install; then
    say "reading the machine's own package lists, for their mirror"
    mkdir -p "$CACHE/log"
    update_machine_lists >"$CACHE/log/apt-update" 2>&1 </dev/null || :
    GPIOAGG_DEBIAN_MIRROR=$(machine_mirror)
  fi
  if [[ -z $GPIOAGG_DEBIAN_MIRROR ]]; then
    GPIOAGG_DEBIAN_MIRROR=$DEBIAN_DEFAULT_MIRROR
    say "the machine's apt names no Debian mirror, taking" \
      "$GPIOAGG_DEBIAN_MIRROR (set GPIOAGG_DEBIAN_MIRROR to choose another)"
  fi
}

# prepare_downloads: what private_apt needs of the machine. To be called where a
# failure ends the program, not in $(...).
prepare_downloads() {
  install_packages debian-archive-keyring
  [[ -r $DEBIAN_KEYRING ]] ||
    fail "no $DEBIAN_KEYRING to check Debian's packages with" \
      "install the package debian-archive-keyring"
  choose_mirror
}

# debian_mirror: the mirror, after prepare_downloads.
debian_mirror() {
  printf '%s' "$GPIOAGG_DEBIAN_MIRROR"
}

# private_apt SUITES PROGRAM ARGUMENT...: apt-get or apt-cache that knows only
# these suites (words in one argument) and believes that nothing is installed,
# so that dependencies are always complete. After prepare_downloads.
private_apt() {
  local suites=$1 program=$2 suite sources
  local directory="$CACHE/apt"
  shift 2
  sources="$directory/${suites// /+}.list"
  mkdir -p "$directory/lists/partial" "$directory/archives/partial"
  if [[ ! -e $sources ]]; then
    for suite in $suites; do
      printf 'deb [signed-by=%s] %s %s main\n' \
        "$DEBIAN_KEYRING" "$GPIOAGG_DEBIAN_MIRROR" "$suite"
    done >"$sources.new"
    mv "$sources.new" "$sources"
  fi
  : >"$directory/status"
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

# refresh_lists: brings the private package lists up to date, once in a run. Lists
# of other suites, which apt would clean up, are somebody else's here.
refresh_lists() {
  [[ -z ${LISTS_ARE_FRESH:-} ]] || return 0
  prepare_downloads
  # The mirror may have changed since the last time.
  rm -f "$CACHE"/apt/*.list
  say "reading the package lists of ${DEBIAN_SUITES[*]}"
  quietly "$CACHE/log/private-apt-update" \
    "cannot read Debian's package lists" \
    "check the network; set GPIOAGG_DEBIAN_MIRROR to choose another mirror" \
    private_apt "${DEBIAN_SUITES[*]}" apt-get -q update \
    --error-on=any -o APT::Get::List-Cleanup=false
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
  # None of these is the machine's own: TARGET is never empty.
  # shellcheck disable=SC2115
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
