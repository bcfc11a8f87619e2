# The compiled executable, for the tests of it. Sourced by scripts/environment
# and scripts/test; needs REPOSITORY and CACHE.
#
# Deno puts denort, a runtime, into executables. Its release site is not reached
# from everywhere, and no package of the npm registry is denort; but packages
# whose program was compiled by Deno contain it: the file is denort, then the
# program. The one used here contains Deno $RUNTIME_VERSION, which is OLDER than
# .deno-version: for tests only, and never for a release. It lacks what the
# control API is built on (net.Socket of an fd), so that is not tested with it.

RUNTIME_VERSION=2.7.11
RUNTIME_PACKAGE_VERSION=0.22.2
# SHA-256 of the runtimes that are cut out.
RUNTIME_SUM_X86_64=f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6
RUNTIME_SUM_AARCH64=9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef

# runtime_directory MACHINE: of denort and, on this machine's, its compiler.
runtime_directory() {
  printf '%s/denort-%s-%s' "$CACHE" "$RUNTIME_VERSION" "$1"
}

# compiler_directory: of the Deno that compiles with it.
compiler_directory() {
  printf '%s/compiler-%s' "$CACHE" "$RUNTIME_VERSION"
}

# elf_size FILE: where an ELF file ends that something was appended to: behind its
# section headers, which stand last.
elf_size() {
  local offset size count
  offset=$(od -An -t u8 -j 40 -N 8 "$1")
  size=$(od -An -t u2 -j 58 -N 2 "$1")
  count=$(od -An -t u2 -j 60 -N 2 "$1")
  printf '%d' $((offset + size * count))
}

# ensure_runtime MACHINE: denort for a machine, in runtime_directory.
ensure_runtime() {
  local target platform sum program
  target=$(runtime_directory "$1")
  [[ ! -e $target/denort ]] || return 0
  case $1 in
    x86_64) platform=x64 sum=$RUNTIME_SUM_X86_64 ;;
    aarch64) platform=arm64 sum=$RUNTIME_SUM_AARCH64 ;;
  esac
  say "getting the runtime of executables, Deno $RUNTIME_VERSION for $1, for tests only"
  fetch_package "@stdy/cli-linux-$platform" "$RUNTIME_PACKAGE_VERSION" "$target.new"
  program=$target.new/bin/steady
  head -c "$(elf_size "$program")" "$program" >"$target.new/denort"
  sha256sum --quiet --check - <<<"$sum  $target.new/denort" >&2 ||
    fail "the program in @stdy/cli-linux-$platform does not contain denort $RUNTIME_VERSION as it is known" \
      "adapt scripts/lib/executable.sh"
  rm -r "$target.new/bin"
  publish "$target.new" "$target"
}

# ensure_compiler: the Deno of the runtime's version, in compiler_directory.
ensure_compiler() {
  local target
  target=$(compiler_directory)
  [[ ! -e $target/deno ]] || return 0
  say "getting Deno $RUNTIME_VERSION, which compiles executables for tests"
  fetch_package @deno/linux-x64-glibc "$RUNTIME_VERSION" "$target.new"
  chmod +x "$target.new/deno"
  publish "$target.new" "$target"
}

# executable_path MACHINE: of the executable of the sources as they are now.
executable_path() {
  printf '%s/executable-%s-%s/gpioagg' "$CACHE" "$1" "$(
    cd "$REPOSITORY" &&
      find ffi src deno.json deno.lock scripts/compile.ts scripts/executable \
        -type f ! -name '*_test.ts' -print0 | LC_ALL=C sort -z |
      xargs -0 sha256sum | key_of "$RUNTIME_VERSION"
  )"
}

# ensure_executable MACHINE: compiles the sources as they are now.
ensure_executable() {
  local path
  path=$(executable_path "$1")
  [[ ! -e $path ]] || return 0
  ensure_compiler
  ensure_runtime "$1"
  say "compiling the executable for $1"
  # Those of other states of the sources: a run that uses one takes no day.
  find "$CACHE" -maxdepth 1 -name "executable-$1-*" -mmin +1440 \
    -exec rm -rf {} +
  mkdir -p "${path%/*}"
  (cd "$REPOSITORY" &&
    DENORT_BIN=$(runtime_directory "$1")/denort \
      DENO_DIR=$CACHE/deno-dir-$RUNTIME_VERSION \
      DENO_TLS_CA_STORE=${DENO_TLS_CA_STORE:-system,mozilla} \
      quietly "$CACHE/log/compile" "cannot compile the executable" \
      "run scripts/compile.ts by hand, as scripts/lib/executable.sh does" \
      "$(compiler_directory)/deno" run -q -P=compile scripts/compile.ts \
      --for-tests --target "$1" --output "$path")
  sed "s/^/compile: /" "$CACHE/log/compile" >&2
}

# The releases whose C library the executable is run with, and nothing else.
ROOT_RELEASES=(bullseye bookworm trixie)

# root_directory RELEASE
root_directory() {
  printf '%s/libraries-%s-%s' "$CACHE" "$1" \
    "$(declare -f build_root unpack_root | key_of "$1")"
}

# unpack_root RELEASE TARGET: the libraries that README names, and no program.
unpack_root() {
  local library
  # Settings of scripts/lib/debian.sh.
  # shellcheck disable=SC2034
  DEBIAN_SUITES=("$1") LISTS_ARE_FRESH=''
  unpack_packages "$1" "$2/packages" libc6 libgcc-s1
  mkdir -p "$2/root"/{dev,lib,lib64,proc,run,usr/bin}
  for library in libc libm libdl libpthread librt libgcc_s; do
    find "$2/packages" -name "$library.so.[0-9]*" -exec cp -L {} "$2/root/lib/" \;
  done
  find "$2/packages" -name 'ld-linux-x86-64.so.2' -xtype f -exec cp -L {} "$2/root/lib64/" \;
  rm -r "$2/packages"
}

# build_root FINAL RELEASE
build_root() {
  (unpack_root "$2" "$1.new")
}

# ensure_roots: file systems of the C library of each release.
ensure_roots() {
  local release
  for release in "${ROOT_RELEASES[@]}"; do
    [[ -d $(root_directory "$release") ]] || prepare_downloads
    ensure_program "$(root_directory "$release")" "the C library of Debian $release" \
      build_root "$release"
  done
}

# The releases that the packages are installed in, and what those need to have.
DEBIAN_RELEASES=(bookworm trixie)
DEBIAN_PACKAGES=(base-passwd coreutils dash diffutils dpkg findutils gpiod grep
  gzip libc-bin sed systemd-standalone-sysusers)

# debian_directory RELEASE
debian_directory() {
  printf '%s/debian-%s-%s' "$CACHE" "$1" "$(
    {
      declare -f build_debian unpack_debian
      printf '%s\n' "${DEBIAN_PACKAGES[@]}"
    } | key_of "$1"
  )"
}

# unpack_debian RELEASE ROOT: a system of these packages, as they are unpacked.
# Dpkg there takes them for installed.
unpack_debian() {
  local release=$1 root=$2 archive name directory archives="$CACHE/apt/archives"
  # Settings of scripts/lib/debian.sh.
  # shellcheck disable=SC2034
  DEBIAN_SUITES=("$release") LISTS_ARE_FRESH=''
  refresh_lists
  rm -f "$archives"/*.deb
  quietly "$CACHE/log/download" "cannot download ${DEBIAN_PACKAGES[*]}" \
    "check the network and run the command again" \
    private_apt "$release" apt-get -q -y --download-only install \
    "${DEBIAN_PACKAGES[@]}"
  mkdir -p "$root"/{dev,etc/alternatives,proc,run,tmp,usr,var/log} \
    "$root"/var/lib/dpkg/{alternatives,info,triggers,updates}
  for directory in bin lib lib64 sbin; do
    mkdir "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
  done
  for archive in "$archives"/*.deb; do
    # Some packages have /bin, which is a link here.
    dpkg-deb --fsys-tarfile "$archive" |
      tar -x --keep-directory-symlink -C "$root"
    name=$(dpkg-deb -f "$archive" Package)
    if [[ $(dpkg-deb -f "$archive" Multi-Arch) == same ]]; then
      name+=:$(dpkg-deb -f "$archive" Architecture)
    fi
    dpkg-deb --fsys-tarfile "$archive" | tar -t |
      sed 's|^\.||; s|/$||; s|^$|/.|' >"$root/var/lib/dpkg/info/$name.list"
    dpkg-deb -f "$archive" |
      sed 's/^Package: .*/&\nStatus: install ok installed/' >>"$root/var/lib/dpkg/status"
    printf '\n' >>"$root/var/lib/dpkg/status"
  done
  rm -f "$archives"/*.deb
  ln -sf dash "$root/usr/bin/sh"
  cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
}

# build_debian FINAL RELEASE
build_debian() {
  (unpack_debian "$2" "$1.new/root")
}

# ensure_debian: small Debian systems.
ensure_debian() {
  local release
  for release in "${DEBIAN_RELEASES[@]}"; do
    [[ -d $(debian_directory "$release") ]] || prepare_downloads
    ensure_program "$(debian_directory "$release")" "a small Debian $release" \
      build_debian "$release"
  done
}
