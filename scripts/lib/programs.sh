# Programs of Debian that the tests use, unpacked into the cache: libgpiod's
# tools (the reference, and the guests' own), busybox, QEMU of two ages, and
# the initial file system of the QEMU guests. Sourced by scripts/environment.

GPIO_TOOLS=(gpiodetect gpioinfo gpioget gpioset gpiomon gpionotify)
GUEST_FILES=$REPOSITORY/tests/environment/guest

# The newest QEMU that never offers a guest GPIO interrupts, and one that does.
QEMU_OLD=7.2
QEMU_NEW=10
# The first with vfio-user-pci is 10.1.
QEMU_NEWEST=11

program_directory() {
  local name=$1
  shift
  printf '%s/%s-%s' "$CACHE" "$name" \
    "$(key_of "$(declare -f unpack_packages write_wrapper)" "$@" </dev/null)"
}

gpiod_directory() {
  program_directory gpiod trixie "$(declare -f build_gpiod)"
}

busybox_directory() {
  program_directory busybox bookworm "$(declare -f build_busybox)"
}

qemu_old_directory() {
  program_directory "qemu-$QEMU_OLD" bookworm "$(declare -f build_qemu)"
}

qemu_new_directory() {
  program_directory "qemu-$QEMU_NEW" bookworm-backports \
    "$(declare -f build_qemu)"
}

qemu_newest_directory() {
  program_directory "qemu-$QEMU_NEWEST" trixie-backports \
    "$(declare -f build_qemu)"
}

prometheus_directory() {
  program_directory prometheus bookworm "$(declare -f build_prometheus)"
}

gtkwave_directory() {
  program_directory gtkwave bookworm "$(declare -f build_gtkwave)"
}

udev_directory() {
  program_directory udev bookworm "$(declare -f build_udev)"
}

systemd_directory() {
  program_directory systemd trixie "$(declare -f build_systemd)"
}

podman_directory() {
  program_directory podman bookworm "$(declare -f build_podman)"
}

initramfs_directory() {
  printf '%s/initramfs-%s' "$CACHE" "$(cat "$GUEST_FILES"/*.sh | key_of \
    "$(declare -f build_initramfs)" "$(gpiod_directory)" \
    "$(busybox_directory)")"
}

# build_gpiod FINAL: libgpiod 2.2 tools with wrappers in bin.
build_gpiod() {
  local tool
  unpack_packages trixie "$1.new/root" gpiod
  for tool in "${GPIO_TOOLS[@]}"; do
    write_wrapper "$1" "$tool"
  done
  # There is one such file.
  # shellcheck disable=SC2211
  "$1.new/root"/usr/lib*/ld-linux-*.so.* --library-path \
    "$(echo "$1.new/root"/usr/lib/*-linux-gnu)" \
    "$1.new/root/usr/bin/gpiodetect" --version >/dev/null ||
    fail "the unpacked gpiodetect does not run" \
      "look at $1.new; run the command again"
}

# build_busybox FINAL: a static busybox.
build_busybox() {
  unpack_packages bookworm "$1.new/root" busybox-static
  mkdir -p "$1.new/bin"
  mv "$1.new/root/bin/busybox" "$1.new/bin/busybox"
  rm -rf "$1.new/root"
  "$1.new/bin/busybox" true ||
    fail "the unpacked busybox does not run" "look at $1.new"
}

# build_prometheus FINAL: the server and its judge of metrics and rules, without
# the service that installing the package would start.
build_prometheus() {
  local program
  unpack_packages bookworm "$1.new/root" prometheus
  mkdir -p "$1.new/bin"
  for program in prometheus promtool; do
    mv "$1.new/root/usr/bin/$program" "$1.new/bin/$program"
    "$1.new/bin/$program" --version >/dev/null 2>&1 ||
      fail "the unpacked $program does not run" "look at $1.new"
  done
  rm -rf "$1.new/root"
}

# build_gtkwave FINAL: GTKWave's converters, without the window system that its
# package depends on.
build_gtkwave() {
  local root=$1.new/root archive tool
  refresh_lists
  mkdir -p "$root"
  (
    cd "$1.new" || exit
    quietly "$CACHE/log/download" "cannot download gtkwave" \
      "check the network and run the command again" \
      private_apt bookworm apt-get -q download gtkwave libc6 libjudydebian1 \
      zlib1g
  )
  for archive in "$1.new"/*.deb; do
    quietly "$CACHE/log/unpack" "cannot unpack $archive" \
      "check that the disk is not full" dpkg-deb -x "$archive" "$root"
  done
  rm -rf "$1.new"/*.deb "${root:?}/usr/share"
  for tool in vcd2fst fst2vcd; do
    write_wrapper "$1" "$tool"
    run_unpublished "$1" "$tool" --help >/dev/null ||
      fail "the unpacked $tool does not run" "look at $1.new"
  done
}

# build_udev FINAL: udev's daemon, whose package would start it here, and its
# tool, which is the same program by another name.
build_udev() {
  unpack_packages bookworm "$1.new/root" udev
  mv "$1.new/root/bin/udevadm" "$1.new/root/usr/bin/udevadm"
  ln "$1.new/root/usr/bin/udevadm" "$1.new/root/usr/bin/systemd-udevd"
  write_wrapper "$1" udevadm
  write_wrapper "$1" systemd-udevd
}

# build_systemd FINAL: Debian 13's udev, and what suspends a machine there.
build_systemd() {
  local programs=$1.new/root/usr/bin
  unpack_packages trixie "$1.new/root" systemd udev
  ln "$programs/udevadm" "$programs/systemd-udevd"
  ln "$1.new/root/usr/lib/systemd/systemd-sleep" "$programs/systemd-sleep"
  # Its place is known to the programs, but as one below /.
  ln "$1.new/root"/usr/lib/*-linux-gnu/systemd/libsystemd-shared-*.so \
    "$(echo "$1.new/root"/usr/lib/*-linux-gnu)/"
  write_wrapper "$1" udevadm
  write_wrapper "$1" systemd-udevd
  write_wrapper "$1" systemd-sleep
  run_unpublished "$1" udevadm --version >/dev/null ||
    fail "the unpacked udevadm does not run" "look at $1.new"
}

# build_podman FINAL: a root file system with podman and its libraries, without
# the rest of what they depend on (four fifths).
build_podman() {
  local root=$1.new/root
  unpack_packages bookworm "$root" podman
  find "$root"/{bin,sbin,usr/bin,usr/sbin} ! -type d \
    ! -name podman ! -name conmon ! -name crun -delete
  find "$root"/{,usr/}lib ! -type d ! -name '*.so' ! -name '*.so.*' -delete
  find "$root/usr/share" -mindepth 1 -maxdepth 1 ! -name containers \
    -exec rm -rf {} +
  rm -rf "$root"/usr/lib/*-linux-gnu/perl* "$root"/usr/lib/*-linux-gnu/gconv
  find "$root" -type d -empty -delete
  # There is one such file.
  # shellcheck disable=SC2211
  "$root"/lib64/ld-linux-*.so.* --library-path \
    "$(echo "$root"/{,usr/}lib/*-linux-gnu | tr ' ' :)" \
    "$root/usr/bin/podman" --version >/dev/null ||
    fail "the unpacked podman does not run" "look at $1.new"
}

# build_qemu FINAL SUITES
build_qemu() {
  unpack_packages "$2" "$1.new/root" qemu-system-x86
  local modules
  modules=$(cd "$1.new/root" && echo usr/lib/*-linux-gnu/qemu)
  write_wrapper "$1" qemu-system-x86_64 -L "@root/usr/share/qemu" \
    -L "@root/usr/share/seabios"
  # Accelerators and the like are loaded from here.
  sed -i "2a export QEMU_MODULE_DIR=\"$1/root/$modules\"" \
    "$1.new/bin/qemu-system-x86_64"
}

# run_unpublished FINAL PROGRAM ARGUMENT...: a wrapper of FINAL.new/bin, whose
# paths are those of FINAL, before FINAL is there.
run_unpublished() {
  local wrapper
  wrapper=$(<"$1.new/bin/$2")
  sh -c "${wrapper//"$1/"/"$1.new/"}" "${@:2}"
}

# build_checked_qemu FINAL BUILDER VERSION PROGRAM [DEVICE]: a QEMU that runs,
# is of the age that is wanted and has the device; nothing else is published.
build_checked_qemu() {
  local suites=bookworm version devices
  case $3 in
    "$QEMU_NEW") suites='bookworm bookworm-backports' ;;
    "$QEMU_NEWEST") suites='trixie trixie-backports' ;;
  esac
  "$2" "$1" "$suites"
  version=$(run_unpublished "$1" "$4" --version 2>&1) || :
  [[ $version == "QEMU emulator version $3."* ]] ||
    fail "the unpacked $4 is not $3 or does not run: ${version:0:200}" \
      "look at $1.new; adapt scripts/lib/programs.sh"
  [[ -n ${5:-} ]] || return 0
  devices=$(run_unpublished "$1" "$4" -device help 2>&1) || :
  [[ $devices == *"name \"$5\""* ]] ||
    fail "the unpacked $4 $3 has no device $5" \
      "look at $1.new; adapt scripts/lib/programs.sh"
}

# build_initramfs FINAL: busybox, the GPIO tools with their libraries, the
# guest's first program and the command loop.
build_initramfs() {
  local tree=$1.new/tree gpiod busybox loader libraries tool library
  gpiod=$(gpiod_directory)/root
  busybox=$(busybox_directory)/bin/busybox
  mkdir -p "$tree"/{bin,dev,lib,lib64,proc,root,run,sys,tmp}
  cp "$busybox" "$tree/bin/busybox"
  while IFS= read -r tool; do
    ln -s busybox "$tree/bin/$tool"
  done < <("$busybox" --list | grep -vx busybox)
  loader=$(echo "$gpiod"/usr/lib*/ld-linux-*.so.*)
  libraries=$(echo "$gpiod"/usr/lib/*-linux-gnu)
  cp -L "$loader" "$tree/lib64/"
  for tool in "${GPIO_TOOLS[@]}"; do
    cp "$gpiod/usr/bin/$tool" "$tree/bin/$tool"
    while IFS= read -r library; do
      cp -L -u "$library" "$tree/lib/"
    done < <("$loader" --library-path "$libraries" --list \
      "$tree/bin/$tool" | sed -n "s|.* => \($libraries/[^ ]*\) .*|\1|p")
  done
  cp "$GUEST_FILES/init.sh" "$tree/init"
  cp "$GUEST_FILES/session.sh" "$tree/bin/session"
  chmod +x "$tree/init" "$tree/bin/session"
  (cd "$tree" && find . | LC_ALL=C sort |
    "$busybox" cpio -o -H newc 2>/dev/null | gzip -9) >"$1.new/initrd.gz"
  rm -rf "$tree"
}

# ensure_program DIRECTORY WHAT BUILDER ARGUMENT...: runs the builder where
# nothing was built yet. The builder fills DIRECTORY.new.
ensure_program() {
  local directory=$1 what=$2 builder=$3
  shift 3
  [[ ! -d $directory ]] || return 0
  say "getting $what"
  rm -rf "$directory.new"
  "$builder" "$directory" "$@"
  publish "$directory.new" "$directory"
}

ensure_gpiod() {
  ensure_program "$(gpiod_directory)" "libgpiod's tools" build_gpiod
}

ensure_busybox() {
  ensure_program "$(busybox_directory)" busybox build_busybox
}

# ensure_systemd: what services run under in the test machines.
ensure_systemd() {
  install_packages systemd
  ensure_program "$(udev_directory)" udev build_udev
  ensure_program "$(systemd_directory)" "Debian 13's udev and systemd-sleep" \
    build_systemd
}

ensure_podman() {
  ensure_program "$(podman_directory)" podman build_podman
}

# ensure_judges: other people's programs that say whether our output, and our
# scripts, are right.
ensure_judges() {
  install_packages chromium-headless-shell fish libvirt-clients libxml2-utils \
    lintian mandoc shellcheck sigrok-cli systemd zsh
  ensure_program "$(prometheus_directory)" Prometheus build_prometheus
  ensure_program "$(gtkwave_directory)" "GTKWave's converters" build_gtkwave
}

ensure_initramfs() {
  ensure_gpiod
  ensure_busybox
  ensure_program "$(initramfs_directory)" "the guests' initial file system" \
    build_initramfs
}

ensure_qemu() {
  ensure_program "$(qemu_old_directory)" "QEMU $QEMU_OLD" build_checked_qemu \
    build_qemu "$QEMU_OLD" qemu-system-x86_64 vhost-user-gpio-pci
  ensure_program "$(qemu_new_directory)" "QEMU $QEMU_NEW" build_checked_qemu \
    build_qemu "$QEMU_NEW" qemu-system-x86_64 vhost-user-gpio-pci
  ensure_program "$(qemu_newest_directory)" "QEMU $QEMU_NEWEST" \
    build_checked_qemu build_qemu "$QEMU_NEWEST" qemu-system-x86_64 \
    vfio-user-pci
}
