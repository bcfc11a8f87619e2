/**
 * Guest distributions, and the GPIO drivers in their stock kernels.
 *
 * **Source**: the kernels' configuration files; for Debian also the modules in
 * the packages (November 2026).
 *
 * @module
 */

/** CPU architecture of a guest, as Debian names it. */
export type GuestArch = "amd64" | "arm64";

/** GPIO drivers that an exposure of gpioagg can use. */
export type GuestDriver =
  | "gpio-virtio"
  | "gpio-pl061"
  | "gpio-ljca"
  | "gpio-ml-ioh"
  | "hid-cp2112";

/** Stock kernel of a distribution on one architecture. */
export interface Guest {
  /** Name for `--guest`: `debian-13`. */
  readonly name: string;
  readonly arch: GuestArch;
  /** Version of the kernel that was examined: `6.12`. */
  readonly kernel?: string;
  /** Drivers in it; empty if it has none that gpioagg can use. */
  readonly drivers: readonly GuestDriver[];
  /** Drivers whose presence was not examined. */
  readonly unknown?: readonly GuestDriver[];
  /** A remedy or a restriction. */
  readonly note?: string;
}

const NO_GPIO_DEBIAN =
  "this kernel has no GPIO support at all: install linux-image-amd64 in the " +
  "guest, and boot that kernel";

/** All kernels that were examined. */
export const GUESTS: readonly Guest[] = [
  {
    name: "debian-12",
    arch: "amd64",
    kernel: "6.1",
    drivers: ["gpio-ml-ioh", "hid-cp2112"],
  },
  {
    name: "debian-12",
    arch: "arm64",
    kernel: "6.1",
    drivers: ["gpio-pl061", "hid-cp2112"],
  },
  {
    name: "debian-12-cloud",
    arch: "amd64",
    kernel: "6.1",
    drivers: [],
    note: NO_GPIO_DEBIAN,
  },
  {
    name: "debian-12-cloud",
    arch: "arm64",
    kernel: "6.1",
    drivers: ["gpio-pl061"],
  },
  {
    name: "debian-13",
    arch: "amd64",
    kernel: "6.12",
    drivers: ["gpio-ljca", "gpio-ml-ioh", "hid-cp2112"],
  },
  {
    name: "debian-13",
    arch: "arm64",
    kernel: "6.12",
    drivers: ["gpio-pl061", "hid-cp2112"],
  },
  {
    name: "debian-13-cloud",
    arch: "amd64",
    kernel: "6.12",
    drivers: [],
    note: NO_GPIO_DEBIAN,
  },
  {
    name: "debian-13-cloud",
    arch: "arm64",
    kernel: "6.12",
    drivers: ["gpio-pl061"],
  },
  {
    name: "debian-13-backports",
    arch: "amd64",
    kernel: "7.3",
    drivers: ["gpio-ljca", "gpio-ml-ioh", "hid-cp2112"],
  },
  {
    name: "debian-14",
    arch: "amd64",
    kernel: "7.2",
    drivers: ["gpio-ljca", "gpio-ml-ioh", "hid-cp2112"],
  },
  {
    name: "debian-14",
    arch: "arm64",
    kernel: "7.2",
    drivers: ["gpio-pl061", "hid-cp2112"],
  },
  {
    name: "ubuntu-24.04",
    arch: "amd64",
    kernel: "6.8",
    drivers: ["gpio-ljca", "gpio-ml-ioh"],
    unknown: ["gpio-virtio", "hid-cp2112"],
  },
  {
    name: "ubuntu-24.04",
    arch: "arm64",
    kernel: "6.8",
    drivers: ["gpio-pl061", "gpio-ljca"],
    unknown: ["gpio-virtio", "hid-cp2112"],
  },
  {
    name: "ubuntu-26.04",
    arch: "amd64",
    drivers: ["gpio-virtio", "gpio-ljca", "gpio-ml-ioh"],
    unknown: ["hid-cp2112"],
  },
  {
    name: "ubuntu-26.04",
    arch: "arm64",
    drivers: ["gpio-virtio", "gpio-pl061", "gpio-ljca"],
    unknown: ["hid-cp2112"],
  },
  {
    name: "fedora",
    arch: "amd64",
    kernel: "6.17",
    drivers: ["gpio-virtio", "gpio-ljca", "hid-cp2112"],
  },
  {
    name: "fedora",
    arch: "arm64",
    kernel: "6.17",
    drivers: ["gpio-virtio", "gpio-pl061", "hid-cp2112"],
  },
  { name: "rhel-10", arch: "amd64", kernel: "6.17", drivers: ["gpio-ljca"] },
  { name: "rhel-10", arch: "arm64", kernel: "6.17", drivers: ["gpio-pl061"] },
  {
    name: "alpine-virt",
    arch: "amd64",
    drivers: [],
    note: "this kernel has no GPIO support at all: use linux-lts in the guest",
  },
  {
    name: "alpine-virt",
    arch: "arm64",
    drivers: ["gpio-virtio", "gpio-pl061"],
  },
];
