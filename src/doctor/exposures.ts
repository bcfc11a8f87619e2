/**
 * Exposures, what each needs of the host and of the guest, and the arguments
 * that use it.
 *
 * @module
 */
import { selectReconnectOption } from "../qemu/arguments.ts";
import type { Guest, GuestArch, GuestDriver } from "./guests.ts";
import type { Host, Qemu } from "./host.ts";

/** An exposure on a host. */
export interface HostExposure {
  /** Name of the exposure: `vhost-user`. */
  readonly name: string;
  /** Driver that the guest needs; undefined if it is not an exposure to a guest. */
  readonly driver?: GuestDriver;
  /** Restriction to state, whatever the host is. */
  readonly note?: string;
  /**
   * Returns the reason why the host cannot, for guests of an architecture, or, by
   * default, of any, and what to do; undefined if it can.
   */
  whyNot(host: Host, arch?: GuestArch): string | undefined;
  /** Lines to paste, for a guest of that architecture. */
  recipe(host: Host, arch: GuestArch): Recipe;
}

/** Instructions for an exposure; each is a list of lines. */
export interface Recipe {
  gpioagg: string[];
  qemu?: string[];
  /** Elements, below a comment that says where in a domain they belong. */
  libvirt?: string[];
  /** The `args:` line of a VM's configuration. */
  proxmox?: string[];
}

const SOCKET = "/run/press.sock";
const LINES = "--line gpiochip0/0-7";
/** Directory of the sockets of a QEMU with pins. */
const PINS_DIRECTORY = "/run/press";
/** As many lines as there are pins below the one that switches the machine off. */
const PINS_LINES = "--line gpiochip0/0-2";

const IN_DEVICES = "<!-- in <devices>: -->";
/** With the namespace of `qemu:commandline`. */
const IN_DOMAIN =
  "<!-- in <domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>: -->";

const MEMORY =
  "-object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem";

/** All exposures, the most capable first. */
export const EXPOSURES: readonly HostExposure[] = [
  {
    name: "vhost-user",
    driver: "gpio-virtio",
    note: "QEMU 9.0 and newer has interrupts, but cannot reconnect",
    whyNot: (host, arch) => whyNoDevice(host, "vhost-user-gpio-pci", arch),
    recipe: vhostUser,
  },
  {
    name: "usbredir, device=ljca",
    driver: "gpio-ljca",
    note: "1 to 64 lines, one adapter for each guest",
    whyNot: (host, arch) => whyNoDevice(host, "usb-redir", arch),
    recipe: (host, arch) => usbredir(host, arch, "ljca"),
  },
  {
    name: "vfio-user",
    driver: "gpio-ml-ioh",
    note: "up to 109 lines; QEMU cannot reconnect",
    whyNot: (host, arch) => whyNoDevice(host, "vfio-user-pci", arch),
    recipe: vfioUser,
  },
  {
    name: "qemu-pins, device=pl061",
    driver: "gpio-pl061",
    note:
      "8 lines; guests of -M virt on arm64, where pin 3 is the power button",
    whyNot: (host) =>
      programFor(host, "arm64") === undefined
        ? `no qemu-system-aarch64 found: ${howToGet("arm64")}`
        : undefined,
    recipe: (host, arch) => pins(host, arch),
  },
  {
    name: "usbredir, device=cp2112",
    driver: "hid-cp2112",
    note: "8 lines for each adapter; inputs are polled, every 40 ms at HZ=250",
    whyNot: (host, arch) => whyNoDevice(host, "usb-redir", arch),
    recipe: (host, arch) => usbredir(host, arch, "cp2112"),
  },
  {
    name: "kernel-chip",
    note: "for programs and containers of this host",
    whyNot: (host) =>
      host.kernelChipProblem ??
        (host.isRoot ? undefined : "it needs root: run gpioagg with sudo"),
    recipe: () => ({
      gpioagg: [`gpioagg kernel create ${LINES} --group plc --mode 660`],
    }),
  },
  {
    name: "kernel-chip, interface=usb",
    note: "the same with rules, through the kernel's USB drivers",
    whyNot: (host) =>
      host.usbChipProblem ??
        (host.isRoot
          ? undefined
          : "it needs root: run gpioagg with sudo, or let root open the " +
            "kernel's attach file for it (kernel create --attach-fd)"),
    recipe: () => ({
      gpioagg: [
        "modprobe vhci-hcd",
        `gpioagg kernel create --interface usb ${LINES},safe=0 --group plc`,
      ],
    }),
  },
];

/**
 * Returns the exposures that a guest has a driver for, the most capable first,
 * and those of which this is not known.
 */
export function exposuresFor(
  guest: Guest,
): { known: HostExposure[]; unknown: HostExposure[] } {
  const has = (drivers: readonly GuestDriver[] = []) =>
    EXPOSURES.filter(({ driver }) =>
      driver !== undefined && drivers.includes(driver)
    );
  return { known: has(guest.drivers), unknown: has(guest.unknown) };
}

function whyNoDevice(
  host: Host,
  device: keyof typeof DEVICE_SINCE,
  arch?: GuestArch,
): string | undefined {
  const wanted = arch ?? (host.arch === "x86_64" ? "amd64" : "arm64");
  if (host.qemus.length === 0) return `no QEMU found: ${howToGet(wanted)}`;
  if (arch !== undefined && programFor(host, arch) === undefined) {
    return `no ${usualName(arch)} found: ${howToGet(arch)}`;
  }
  const hasIt = arch === undefined
    ? host.qemus.some(({ devices }) => devices.has(device))
    : programFor(host, arch, device) !== undefined;
  if (hasIt) return undefined;
  return `no ${arch === undefined ? "QEMU" : usualName(arch)} of this host ` +
    `has the device ${device}: install ${DEVICE_SINCE[device]}, or name one ` +
    "with --qemu PROGRAM";
}

/** Devices, and a QEMU that has each. */
const DEVICE_SINCE = {
  "vhost-user-gpio-pci": "QEMU 7.2 or newer",
  "usb-redir": "a QEMU that was built with usbredir, as Debian's are",
  "vfio-user-pci": "QEMU 10.1 or newer (Debian 13: from backports)",
};

function howToGet(arch: GuestArch): string {
  return `install it (Debian, Ubuntu: the package ${PACKAGE[arch]}), or name ` +
    "one with --qemu PROGRAM";
}

const PACKAGE: Readonly<Record<GuestArch, string>> = {
  amd64: "qemu-system-x86",
  arm64: "qemu-system-arm",
};

/**
 * Returns the first QEMU of an architecture that has a device, or, by default,
 * the first one; undefined if the host has none.
 */
function programFor(
  host: Host,
  arch: GuestArch,
  device?: string,
): Qemu | undefined {
  return host.qemus.find(({ program, devices }) =>
    emulates(host, program, arch) &&
    (device === undefined || devices.has(device))
  );
}

/** Returns true if a QEMU has guests of this architecture, by its file's name. */
function emulates(host: Host, program: string, arch: GuestArch): boolean {
  const [, target] = /qemu-system-([^/]*)$/.exec(program) ?? [];
  return (target ?? host.arch) === SUFFIX[arch];
}

const SUFFIX: Readonly<Record<GuestArch, string>> = {
  amd64: "x86_64",
  arm64: "aarch64",
};

function usualName(arch: GuestArch): string {
  return `qemu-system-${SUFFIX[arch]}`;
}

function vhostUser(host: Host, arch: GuestArch): Recipe {
  const qemu = programFor(host, arch, "vhost-user-gpio-pci");
  // From 9.0 on the device refuses a chardev that reconnects.
  const again = (qemu?.major ?? 10) < 9 ? ",reconnect=1" : "";
  const device = `-chardev socket,path=${SOCKET},id=gpio0${again} ` +
    "-device vhost-user-gpio-pci,chardev=gpio0";
  return {
    gpioagg: [`gpioagg serve --socket-path ${SOCKET},group=kvm ${LINES}`],
    qemu: [
      `${qemu?.program ?? usualName(arch)} … ${MEMORY} ${device}`,
      "# size= as -m has it",
    ],
    libvirt: [
      IN_DOMAIN,
      "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
      ...commandLine(device),
    ],
    proxmox: [`args: ${MEMORY} ${device}`, "# size= as memory: has it"],
  };
}

function vfioUser(host: Host, arch: GuestArch): Recipe {
  const card = JSON.stringify({
    driver: "vfio-user-pci",
    socket: { type: "unix", path: SOCKET },
  });
  const { program } = programFor(host, arch, "vfio-user-pci") ??
    { program: usualName(arch) };
  return {
    gpioagg: [`gpioagg serve --vfio-user ${SOCKET},group=kvm ${LINES}`],
    qemu: [`${program} … -device '${card}'`],
    libvirt: [
      IN_DOMAIN,
      "<qemu:commandline>",
      "  <qemu:arg value='-device'/>",
      `  <qemu:arg value='${card}'/>`,
      "</qemu:commandline>",
    ],
    proxmox: [`args: -device '${card}'`],
  };
}

function usbredir(
  host: Host,
  arch: GuestArch,
  device: "ljca" | "cp2112",
): Recipe {
  const { program, major, minor } = programFor(host, arch, "usb-redir") ??
    { program: usualName(arch), major: 10, minor: 0 };
  const chardev = `-chardev socket,path=${SOCKET},id=gpio0,${
    selectReconnectOption(major, minor)
  } -device usb-redir,chardev=gpio0`;
  return {
    gpioagg: [
      `gpioagg serve --usbredir ${SOCKET},device=${device},group=kvm ${LINES}`,
    ],
    qemu: [`${program} … -device qemu-xhci ${chardev}`],
    libvirt: [
      IN_DEVICES,
      "<controller type='usb' model='qemu-xhci'/>",
      `<redirdev bus='usb' type='unix'><source mode='connect' path='${SOCKET}'>` +
      "<reconnect enabled='yes' timeout='1'/></source></redirdev>",
    ],
    proxmox: [`args: -device qemu-xhci ${chardev}`],
  };
}

function pins(host: Host, arch: GuestArch): Recipe {
  const sockets = `-qtest unix:${PINS_DIRECTORY}/qtest,server=on,wait=off ` +
    `-qtest-log none -qmp unix:${PINS_DIRECTORY}/qmp,server=on,wait=off`;
  return {
    gpioagg: [
      `install -d -m 770 -g kvm ${PINS_DIRECTORY}`,
      `gpioagg serve --qemu-pins qtest=${PINS_DIRECTORY}/qtest,` +
      `qmp=${PINS_DIRECTORY}/qmp,device=pl061 ${PINS_LINES}`,
    ],
    qemu: [
      `${
        programFor(host, arch)?.program ?? usualName(arch)
      } -M virt … ${sockets}`,
    ],
    libvirt: [IN_DOMAIN, ...commandLine(sockets)],
    proxmox: [`args: ${sockets}`],
  };
}

/** Returns `<qemu:commandline>` with these arguments. */
function commandLine(args: string): string[] {
  return [
    "<qemu:commandline>",
    ...args.split(" ").map((arg) => `  <qemu:arg value='${arg}'/>`),
    "</qemu:commandline>",
  ];
}
