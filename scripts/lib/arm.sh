# ARM machines with GPIO controllers of their own, all of it stock Debian: QEMU
# of two ages, the kernels for arm64 and armhf, and for each an initial file
# system with busybox and libgpiod's tools. Sourced by scripts/environment.
#
# What runs in foreign has settings of its own, on purpose.
# shellcheck disable=SC2030,SC2031,SC2034

# What a board needs beside its kernel: device trees, modules.
ARM_BOARD_FILES=(highbank.dtb aspeed-ast2600-evb.dtb gpio-aspeed.ko)

qemu_arm_directory() {
  program_directory "qemu-arm-$1" "$(declare -f build_qemu_arm)"
}

arm_kernel_directory() {
  program_directory "kernel-$1" "${ARM_BOARD_FILES[*]}" \
    "$(declare -f build_arm_kernel foreign)"
}

arm_initramfs_directory() {
  printf '%s/initramfs-%s-%s' "$CACHE" "$1" \
    "$(cat "$GUEST_FILES/arm_init.sh" "$GUEST_FILES/session.sh" | key_of \
      "$(declare -f build_arm_initramfs foreign)" \
      "$(arm_kernel_directory "$1")")"
}

# foreign ARCHITECTURE COMMAND...: a command for which apt's packages are those
# of another architecture; their lists are apart from this machine's. After
# prepare_downloads.
foreign() {
  local architecture=$1
  shift
  (
    # Asked of this machine's apt, while apt still speaks of this machine.
    GPIOAGG_DEBIAN_MIRROR=$(debian_mirror)
    CACHE=$CACHE/foreign-$architecture
    DEBIAN_SUITES=(bookworm trixie)
    LISTS_ARE_FRESH=''
    mkdir -p "$CACHE"
    printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; };\n' \
      "$architecture" "$architecture" >"$CACHE/apt.conf"
    export APT_CONFIG=$CACHE/apt.conf
    "$@"
  )
}

# build_qemu_arm FINAL SUITES
build_qemu_arm() {
  local program modules
  unpack_packages "$2" "$1.new/root" qemu-system-arm
  modules=$(cd "$1.new/root" && echo usr/lib/*-linux-gnu/qemu)
  for program in qemu-system-arm qemu-system-aarch64; do
    write_wrapper "$1" "$program" -L "@root/usr/share/qemu"
    sed -i "2a export QEMU_MODULE_DIR=\"$1/root/$modules\"" \
      "$1.new/bin/$program"
  done
}

# build_arm_kernel FINAL ARCHITECTURE: FINAL/vmlinuz of a Debian kernel as it
# is, and what boards need.
build_arm_kernel() {
  foreign "$2" unpack_arm_kernel "$1.new" "$2"
}

# unpack_arm_kernel TARGET ARCHITECTURE: in foreign.
unpack_arm_kernel() {
  local flavour=$2 package archive file found
  if [[ $2 == armhf ]]; then flavour=armmp; fi
  refresh_lists
  package=$(private_apt bookworm apt-cache depends "linux-image-$flavour" |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [[ -n $package ]] ||
    fail "Debian bookworm has no kernel linux-image-$flavour for $2" \
      "set GPIOAGG_DEBIAN_MIRROR to a complete mirror"
  mkdir -p "$1/package" "$1/tree"
  (cd "$1/package" &&
    quietly "$CACHE/log-kernel" "cannot download $package" \
      "check the network and run the command again" \
      private_apt bookworm apt-get -q download "$package")
  archive=("$1/package"/*.deb)
  quietly "$CACHE/log-kernel" "cannot unpack ${archive[0]}" \
    "check that the disk has 1 GB free" \
    dpkg-deb -x "${archive[0]}" "$1/tree"
  mv "$1/tree"/boot/vmlinuz-* "$1/vmlinuz"
  for file in "${ARM_BOARD_FILES[@]}"; do
    found=$(find "$1/tree" -name "$file" | head -n 1)
    [[ -z $found ]] || mv "$found" "$1/$file"
  done
  rm -rf "$1/tree" "$1/package"
  printf '%s\n' "$package" >"$1/version"
}

# build_arm_initramfs FINAL ARCHITECTURE: busybox and the GPIO tools of that
# architecture, the first program and the command loop.
build_arm_initramfs() {
  local root=$1.new/root tree=$1.new/tree busybox kernel tool
  busybox=$(busybox_directory)/bin/busybox
  kernel=$(arm_kernel_directory "$2")
  foreign "$2" unpack_packages trixie "$root" gpiod busybox-static
  mkdir -p "$tree"/{bin,dev,lib,proc,root,run,sys,tmp}
  cp "$(find "$root" -path '*bin/busybox')" "$tree/bin/busybox"
  # The programs of this machine's busybox: those of the other cannot be asked.
  while IFS= read -r tool; do
    ln -s busybox "$tree/bin/$tool"
  done < <("$busybox" --list | grep -vx busybox)
  for tool in "${GPIO_TOOLS[@]}"; do
    cp "$root/usr/bin/$tool" "$tree/bin/$tool"
  done
  find "$root/usr/lib" -maxdepth 2 \
    \( -name 'ld-linux*' -o -name 'libc.so.6' -o -name 'libgpiod.so.*' \
    -o -name 'libgcc_s.so.*' -o -name 'libedit.so.*' -o -name 'libtinfo.so.*' \
    -o -name 'libbsd.so.*' -o -name 'libmd.so.*' \) \
    -exec cp -L {} "$tree/lib/" \;
  find "$kernel" -name '*.ko' -exec cp {} "$tree/lib/" \;
  cp "$GUEST_FILES/arm_init.sh" "$tree/init"
  cp "$GUEST_FILES/session.sh" "$tree/bin/session"
  chmod +x "$tree/init" "$tree/bin/session"
  (cd "$tree" && find . | LC_ALL=C sort |
    "$busybox" cpio -o -H newc 2>/dev/null | gzip -9) >"$1.new/initrd.gz"
  rm -rf "$root" "$tree"
}

ensure_arm() {
  local architecture version kernel initramfs
  ensure_busybox
  for version in "$QEMU_OLD" "$QEMU_NEW"; do
    ensure_program "$(qemu_arm_directory "$version")" "QEMU $version for ARM" \
      build_checked_qemu build_qemu_arm "$version" qemu-system-aarch64
  done
  for architecture in arm64 armhf; do
    kernel=$(arm_kernel_directory "$architecture")
    initramfs=$(arm_initramfs_directory "$architecture")
    [[ -d $kernel && -d $initramfs ]] || prepare_downloads
    ensure_program "$kernel" "Debian's kernel for $architecture" \
      build_arm_kernel "$architecture"
    ensure_program "$initramfs" "the initial file system for $architecture" \
      build_arm_initramfs "$architecture"
  done
}

# arm64_library_directory: the C library that Deno and the executable need.
arm64_library_directory() {
  program_directory libraries-arm64 "$(declare -f build_arm64_libraries foreign)"
}

build_arm64_libraries() {
  local library
  # Of the release that the guests' tools are of: they share a directory.
  foreign arm64 unpack_packages trixie "$1.new/packages" libc6 libgcc-s1
  for library in ld-linux-aarch64 libc libm libdl libpthread librt libgcc_s; do
    find "$1.new/packages" -path '*lib/aarch64-linux-gnu/*' \
      -name "$library.so.[0-9]*" -xtype f -exec cp -L {} "$1.new/" \;
  done
  rm -r "$1.new/packages"
}

# arm64_deno_directory: Deno for aarch64, of the pinned version.
arm64_deno_directory() {
  printf '%s/deno-aarch64-%s' "$CACHE" "$DENO_PIN"
}

# ensure_arm64: what runs on an aarch64 machine: Deno, the executable and their
# libraries.
ensure_arm64() {
  local target
  target=$(arm64_deno_directory)
  if [[ ! -e $target/deno ]]; then
    say "getting Deno $DENO_PIN for aarch64"
    fetch_package @deno/linux-arm64-glibc "$DENO_PIN" "$target.new"
    chmod +x "$target.new/deno"
    publish "$target.new" "$target"
  fi
  [[ -d $(arm64_library_directory) ]] || prepare_downloads
  ensure_program "$(arm64_library_directory)" "the C library for arm64" \
    build_arm64_libraries
}
