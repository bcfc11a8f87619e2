# The two kernels of the tests, built from Debian's kernel source: User-Mode
# Linux (the host with simulated chips, and the quick guest) and a small
# x86-64 kernel for QEMU. Sourced by scripts/environment.

# The series that the tests were written on. Where Debian has it no longer,
# the newest that it has is taken; nothing before the oldest will do.
LINUX_SERIES=7.2
LINUX_OLDEST=6.12
LINUX_SUITES="bookworm-backports trixie trixie-backports"
LINUX_PACKAGES=(gcc libc6-dev make flex bison bc libelf-dev xz-utils)
KERNEL_FILES=$REPOSITORY/tests/environment/kernel
LINUX_BUILD=$CACHE/build-linux

# uml_directory, guest_kernel_directory: where the finished kernels are; the
# name changes with anything that the kernel is made from.
uml_directory() {
  printf '%s/uml-%s' "$CACHE" "$(cat "$KERNEL_FILES"/uml*.config |
    key_of "$LINUX_SERIES" "$(declare -f build_uml configure_kernel)")"
}

guest_kernel_directory() {
  printf '%s/guest-kernel-%s' "$CACHE" "$(key_of "$LINUX_SERIES" \
    "$(declare -f build_guest_kernel configure_kernel)" \
    <"$KERNEL_FILES/guest.config")"
}

# choose_linux_package: the package of the kernel source to build.
choose_linux_package() {
  local names newest
  names=$(private_apt "$LINUX_SUITES" apt-cache pkgnames linux-source- |
    grep -E '^linux-source-[0-9]+\.[0-9]+$')
  if grep -qx "linux-source-$LINUX_SERIES" <<<"$names"; then
    printf 'linux-source-%s' "$LINUX_SERIES"
    return
  fi
  newest=$(printf '%s\n' "$names" "linux-source-$LINUX_OLDEST" |
    sort --version-sort | tail -n 1)
  grep -qx "$newest" <<<"$names" ||
    fail "Debian has no kernel source of Linux $LINUX_OLDEST or newer in $LINUX_SUITES" \
      "set GPIOAGG_DEBIAN_MIRROR to a complete mirror"
  printf '%s' "$newest"
}

# ensure_linux_source: the unpacked kernel source, in LINUX_BUILD/source, with
# its version in LINUX_BUILD/version.
ensure_linux_source() {
  local package archive
  [[ ! -e $LINUX_BUILD/version ]] || return 0
  install_packages "${LINUX_PACKAGES[@]}"
  refresh_lists
  package=$(choose_linux_package)
  say "getting $package (160 MB)"
  rm -rf "$LINUX_BUILD"
  mkdir -p "$LINUX_BUILD/source" "$LINUX_BUILD/package"
  (cd "$LINUX_BUILD/package" &&
    quietly "$CACHE/log/linux-source" "cannot download $package" \
      "check the network and run the command again" \
      private_apt "$LINUX_SUITES" apt-get -q download "$package")
  say "unpacking $package (1.2 GB, removed when the kernels are built)"
  archive=("$LINUX_BUILD/package"/*.deb)
  # Neither the archive member nor the tree needs to be on disk twice.
  quietly "$CACHE/log/linux-source" "cannot unpack ${archive[0]}" \
    "check that the disk has 3 GB free" \
    unpack_linux_source "${archive[0]}" "$LINUX_BUILD/source"
  dpkg-deb --field "${archive[0]}" Package Version >"$LINUX_BUILD/version.new"
  rm -rf "$LINUX_BUILD/package"
  mv "$LINUX_BUILD/version.new" "$LINUX_BUILD/version"
}

# unpack_linux_source DEB TARGET: without the parts that no build reads.
unpack_linux_source() {
  set -o pipefail
  dpkg-deb --fsys-tarfile "$1" |
    tar -x --wildcards --to-stdout './usr/src/linux-source-*.tar.xz' |
    tar -xJ -C "$2" --strip-components=1 \
      --exclude='*/Documentation/*.rst' --exclude='*/Documentation/*.yaml' \
      --exclude='*/Documentation/*.txt' --exclude='*/tools/testing/*' \
      --exclude='*/drivers/gpu/drm/amd/include/*'
}

# linux_is_before MAJOR: whether the unpacked kernel source is older.
linux_is_before() {
  local version
  version=$(make -s -C "$LINUX_BUILD/source" kernelversion)
  ((${version%%.*} < $1))
}

# configure_kernel OBJECTS TARGET FRAGMENT MAKE-ARGUMENT...: a configuration
# with what the fragment says, checked: an option that depends on one that is
# missing would be dropped without a word.
configure_kernel() {
  local objects=$1 target=$2 fragment=$3 line dropped=()
  shift 3
  quietly "$CACHE/log/kernel-config" "cannot configure the kernel" \
    "read the output; options may have changed in $(<"$LINUX_BUILD/version")" \
    make -C "$LINUX_BUILD/source" "O=$objects" "KCONFIG_ALLCONFIG=$fragment" \
    "$@" "$target"
  while IFS= read -r line; do
    if [[ $line == CONFIG_* ]]; then
      grep -qxF "$line" "$objects/.config" || dropped+=("$line")
    fi
  done <"$fragment"
  [[ ${#dropped[@]} -eq 0 ]] ||
    fail "the kernel does not take ${dropped[*]}" \
      "adapt the fragments in tests/environment/kernel"
}

# build_uml TARGET: TARGET/linux, and the device-tree compiler beside it.
build_uml() {
  local objects=$LINUX_BUILD/uml
  mkdir -p "$objects" "$1"
  if linux_is_before 7; then
    cat "$KERNEL_FILES/uml.config" "$KERNEL_FILES/uml-before-7.config"
  else
    cat "$KERNEL_FILES/uml.config"
  fi >"$objects/fragment"
  configure_kernel "$objects" allnoconfig "$objects/fragment" ARCH=um
  quietly "$CACHE/log/uml" "cannot build the User-Mode-Linux kernel" \
    "read the output; 'scripts/environment clean' makes it begin again" \
    nice make -s -C "$LINUX_BUILD/source" "O=$objects" ARCH=um \
    "-j$(nproc)" linux
  strip -o "$1/linux" "$objects/linux"
  cp "$objects/scripts/dtc/dtc" "$1/dtc"
  cp "$objects/.config" "$1/config"
  cp "$LINUX_BUILD/version" "$1/version"
}

# build_guest_kernel TARGET: TARGET/bzImage, and beside it gpio-virtio.ko, which
# is the driver that the kernel has built in: for guests that load and remove it.
build_guest_kernel() {
  local objects=$LINUX_BUILD/guest module=$LINUX_BUILD/gpio-virtio
  mkdir -p "$objects" "$module" "$1"
  configure_kernel "$objects" allnoconfig "$KERNEL_FILES/guest.config" \
    ARCH=x86_64
  quietly "$CACHE/log/guest-kernel" "cannot build the QEMU guests' kernel" \
    "read the output; 'scripts/environment clean' makes it begin again" \
    nice make -s -C "$LINUX_BUILD/source" "O=$objects" ARCH=x86_64 \
    "-j$(nproc)" bzImage modules
  # Under another name: what keeps the kernel from starting its own driver
  # (initcall_blacklist) would keep the module from it as well.
  sed 's/virtio_gpio_driver/virtio_gpio_module/g' \
    "$LINUX_BUILD/source/drivers/gpio/gpio-virtio.c" >"$module/gpio-virtio.c"
  printf 'obj-m := gpio-virtio.o\n' >"$module/Kbuild"
  quietly "$CACHE/log/gpio-virtio" "cannot build the driver as a module" \
    "read the output; 'scripts/environment clean' makes it begin again" \
    nice make -s -C "$LINUX_BUILD/source" "O=$objects" ARCH=x86_64 \
    "M=$module" modules
  cp "$objects/arch/x86/boot/bzImage" "$module/gpio-virtio.ko" "$1/"
  cp "$objects/.config" "$1/config"
  cp "$LINUX_BUILD/version" "$1/version"
}

# ensure_kernel DIRECTORY BUILDER WHAT
ensure_kernel() {
  local directory=$1
  [[ ! -d $directory ]] || return 0
  ensure_linux_source
  say "building $3: some minutes, once"
  rm -rf "$directory.new"
  "$2" "$directory.new"
  publish "$directory.new" "$directory"
  # The tree is big and has done its work when both kernels are there.
  if [[ -z ${GPIOAGG_KEEP_SOURCES:-} && -d $(uml_directory) &&
    -d $(guest_kernel_directory) ]]; then
    rm -rf "$LINUX_BUILD"
  fi
}

ensure_uml() {
  ensure_kernel "$(uml_directory)" build_uml "the User-Mode-Linux kernel"
}

ensure_guest_kernel() {
  ensure_kernel "$(guest_kernel_directory)" build_guest_kernel \
    "the QEMU guests' kernel"
}
