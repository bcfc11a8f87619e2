# Debian's own amd64 kernels, as they are, for guests of QEMU that have no
# virtio-gpio: the kernel, and an initial file system with the GPIO drivers of
# adapters. Sourced by scripts/environment.

# release | modules that the guest loads, without those that they depend on
STOCK_RELEASES=(
  "bookworm|gpio-ml-ioh xhci-pci hid-generic usbhid hid-cp2112"
  "trixie|gpio-ml-ioh xhci-pci hid-generic usbhid hid-cp2112 usb-ljca gpio-ljca"
  "trixie-backports|gpio-ml-ioh i2c-i801 lm90"
)
# Modules for a machine that gpioagg runs on: its test loads them.
STOCK_HOST_MODULES="virtio-pci 9pnet-virtio 9p overlay vhci-hcd"
# Of Debian 13's arm64 kernel: modules of a guest.
STOCK_ARM64_MODULES="xhci-pci hid-generic usbhid hid-cp2112"

# stock_directory RELEASE
stock_directory() {
  printf '%s/stock-%s-%s' "$CACHE" "$1" "$(key_of "${STOCK_RELEASES[*]}" \
    "$STOCK_HOST_MODULES" \
    "$(declare -f build_stock unpack_stock_kernel add_module module_file)" \
    "$(initramfs_directory)" </dev/null)"
}

# build_stock FINAL RELEASE MODULES: FINAL/vmlinuz and FINAL/initrd.gz.
build_stock() {
  local tree=$1.new/tree initrd=$1.new/initrd module
  unpack_stock_kernel "$1.new" "$2"
  mkdir -p "$initrd/lib/modules"
  : >"$initrd/lib/modules/order"
  for module in $3; do
    add_module "$tree" "$initrd/lib/modules" "$module" order
  done
  for module in $STOCK_HOST_MODULES; do
    add_module "$tree" "$initrd/lib/modules" "$module" order.host
  done
  # The kernel unpacks one archive after another.
  {
    cat "$(initramfs_directory)/initrd.gz"
    # Elsewhere: what follows must not run in a directory that is removed.
    (cd "$initrd" && find . | LC_ALL=C sort |
      "$(busybox_directory)/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -9)
  } >"$1.new/initrd.gz"
  rm -rf "$tree" "$initrd"
}

# unpack_stock_kernel TARGET RELEASE: TARGET/vmlinuz, and the package's files in
# TARGET/tree.
unpack_stock_kernel() {
  local package archive parts
  refresh_lists
  package=$(private_apt "$2" apt-cache depends linux-image-amd64 |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [[ -n $package ]] ||
    fail "Debian $2 has no kernel linux-image-amd64" \
      "set GPIOAGG_DEBIAN_MIRROR to a complete mirror"
  # The files of newer ones are in packages that theirs depends on.
  mapfile -t parts < <(private_apt "$2" apt-cache depends "$package" |
    sed -nE 's/^ *Depends: (linux-(base|binary|modules)-[0-9].*)/\1/p')
  mkdir -p "$1/package" "$1/tree"
  (cd "$1/package" &&
    quietly "$CACHE/log/stock-kernel" "cannot download $package" \
      "check the network and run the command again" \
      private_apt "$2" apt-get -q download "$package" "${parts[@]}")
  for archive in "$1/package"/*.deb; do
    quietly "$CACHE/log/stock-kernel" "cannot unpack $archive" \
      "check that the disk has 1 GB free" dpkg-deb -x "$archive" "$1/tree"
  done
  find "$1/tree" -type f \( -path '*/boot/vmlinuz-*' -o -name vmlinuz \) \
    -exec mv {} "$1/vmlinuz" \;
  rm -rf "$1/package"
  printf '%s\n' "$package" >"$1/version"
}

# module_file TREE NAME: the file of a module, whose name is spelled with either
# dashes or underscores.
module_file() {
  find "$1" -name "${2//[-_]/[-_]}.ko*" | head -n 1
}

# add_module TREE TARGET NAME ORDER: copies a module to TARGET, after those that it
# depends on, and appends their names to TARGET/ORDER.
add_module() {
  local name=${3//-/_} file dependency
  [[ ! -e $2/$name.ko ]] || return 0
  file=$(module_file "$1" "$3")
  # Built in, with this kernel.
  if [[ -z $file ]]; then
    grep -rqE "/${3//[-_]/[-_]}\.ko$" "$1" --include=modules.builtin ||
      fail "the stock kernel has no module $3" "adapt scripts/lib/stock.sh"
    return 0
  fi
  # busybox loads no compressed modules.
  if [[ $file == *.xz ]]; then
    xz -dc "$file" >"$2/$name.ko"
  else
    cp "$file" "$2/$name.ko"
  fi
  while IFS= read -r dependency; do
    add_module "$1" "$2" "$dependency" "$4"
  done < <(tr '\0' '\n' <"$2/$name.ko" | sed -n 's/^depends=//p' | head -n 1 |
    tr ',' '\n' | grep .)
  printf '%s\n' "$name" >>"$2/$4"
}

stock_arm64_directory() {
  printf '%s/stock-trixie-arm64-%s' "$CACHE" "$(key_of "$STOCK_ARM64_MODULES" \
    "$(declare -f build_stock_arm64 unpack_stock_arm64 add_module module_file)" \
    "$(arm_initramfs_directory arm64)" </dev/null)"
}

# build_stock_arm64 FINAL: as build_stock, for the arm64 guests' initial file
# system, which loads /lib/*.ko in the order of their names.
build_stock_arm64() {
  local initrd=$1.new/initrd module number=10
  foreign arm64 unpack_stock_arm64 "$1.new"
  mkdir -p "$1.new/modules" "$initrd/lib"
  for module in $STOCK_ARM64_MODULES; do
    add_module "$1.new/tree" "$1.new/modules" "$module" order
  done
  while IFS= read -r module; do
    mv "$1.new/modules/$module.ko" "$initrd/lib/$number-$module.ko"
    number=$((number + 1))
  done <"$1.new/modules/order"
  {
    cat "$(arm_initramfs_directory arm64)/initrd.gz"
    (cd "$initrd" && find . | LC_ALL=C sort |
      "$(busybox_directory)/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -9)
  } >"$1.new/initrd.gz"
  rm -rf "$1.new/tree" "$1.new/modules" "$initrd"
}

# unpack_stock_arm64 TARGET: in foreign; as unpack_stock_kernel.
unpack_stock_arm64() {
  local package archive
  refresh_lists
  package=$(private_apt trixie apt-cache depends linux-image-arm64 |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
  [[ -n $package ]] ||
    fail "Debian trixie has no kernel linux-image-arm64" \
      "set GPIOAGG_DEBIAN_MIRROR to a complete mirror"
  mkdir -p "$1/package" "$1/tree"
  (cd "$1/package" &&
    quietly "$CACHE/log-kernel" "cannot download $package" \
      "check the network and run the command again" \
      private_apt trixie apt-get -q download "$package")
  archive=("$1/package"/*.deb)
  quietly "$CACHE/log-kernel" "cannot unpack ${archive[0]}" \
    "check that the disk has 1 GB free" \
    dpkg-deb -x "${archive[0]}" "$1/tree"
  mv "$1/tree"/boot/vmlinuz-* "$1/vmlinuz"
  rm -rf "$1/package"
  printf '%s\n' "$package" >"$1/version"
}

ensure_stock() {
  local release modules line
  ensure_initramfs
  install_packages xz-utils
  for line in "${STOCK_RELEASES[@]}"; do
    IFS='|' read -r release modules <<<"$line"
    ensure_program "$(stock_directory "$release")" \
      "the stock kernel of Debian $release" build_stock "$release" "$modules"
  done
}

# ensure_stock_arm64: after ensure_arm.
ensure_stock_arm64() {
  local directory
  directory=$(stock_arm64_directory)
  install_packages xz-utils
  [[ -d $directory ]] || prepare_downloads
  ensure_program "$directory" "the stock kernel of Debian trixie for arm64" \
    build_stock_arm64
}
