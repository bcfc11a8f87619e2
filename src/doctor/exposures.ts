/**
 * Exposures, what each needs of the host and of the guest, and the arguments
 * that use it.
 *
 * @module
 */
import { reconnectOptionOf } from "../qemu/arguments.ts";
import type { Guest, GuestArch, GuestDriver } from "./guests.ts";
import type { Host, Qemu } from "./host.ts";

/** An exposure on a host. */
export interface HostExposure {
  /** Name of the exposure: `vhost-user`. */
  readonly name: string;
  /** Driver that the guest needs; undefined if it is no exposure to a guest. */
  readonly driver?: GuestDriver;
  /** Restriction to state, whatever the host is. */
  readonly note?: string;
  /** Returns the reason why the host cannot; undefined if it can. */
  whyNot(host: Host): string | undefined;
  /** Lines to paste, for a guest of that architecture. */
  recipe(host: Host, arch: GuestArch): Recipe;
}

/** Instructions for an exposure; each is a list of lines. */
export interface Recipe {
  gpioagg: string[];
  qemu?: string[];
  /** Inside `<domain>`, with the namespace of `qemu:commandline` declared. */
  libvirt?: string[];
  /** The `args:` line of a VM's configuration. */
  proxmox?: string[];
}

const SOCKET = "/run/press.sock";
const LINES = "--line gpiochip0/0-7";

const MEMORY =
  "-object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem";

/** All exposures, the most capable first. */
export const EXPOSURES: readonly HostExposure[] = [
  {
    name: "vhost-user",
    driver: "gpio-virtio",
    note: "QEMU 9.0 and newer has interrupts, but cannot reconnect",
    whyNot: (host) => whyNoDevice(host, "vhost-user-gpio-pci"),
    recipe: vhostUser,
  },
  {
    name: "usbredir, device=ljca",
    driver: "gpio-ljca",
    note: "1 to 64 lines, one adapter for each guest",
    whyNot: (host) => whyNoDevice(host, "usb-redir"),
    recipe: (host, arch) => usbredir(host, arch, "ljca"),
  },
  {
    name: "vfio-user",
    driver: "gpio-ml-ioh",
    note: "up to 109 lines; QEMU cannot reconnect",
    whyNot: (host) => whyNoDevice(host, "vfio-user-pci"),
    recipe: vfioUser,
  },
  {
    name: "qemu-pins, device=pl061",
    driver: "gpio-pl061",
    note: "8 lines; guests of -M virt on arm64",
    whyNot: (host) => {
      const program = programFor(host, "arm64");
      return program === undefined ? "no qemu-system-aarch64 found" : undefined;
    },
    recipe: (host, arch) => pins(host, arch),
  },
  {
    name: "usbredir, device=cp2112",
    driver: "hid-cp2112",
    note: "8 lines for each adapter; inputs are polled, every 40 ms at HZ=250",
    whyNot: (host) => whyNoDevice(host, "usb-redir"),
    recipe: (host, arch) => usbredir(host, arch, "cp2112"),
  },
  {
    name: "kernel-chip",
    note: "for programs and containers of this host",
    whyNot: (host) =>
      host.kernelChipProblem ?? (host.isRoot ? undefined : "it needs root"),
    recipe: () => ({
      gpioagg: [`gpioagg kernel create ${LINES} --group plc --mode 660`],
    }),
  },
  {
    name: "kernel-chip, interface=usb",
    note: "the same with rules, through the kernel's USB drivers",
    whyNot: (host) =>
      host.usbChipProblem ?? (host.isRoot ? undefined : "it needs root"),
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

function whyNoDevice(host: Host, device: string): string | undefined {
  if (host.qemus.length === 0) return "no QEMU found";
  return host.qemus.some(({ devices }) => devices.has(device))
    ? undefined
    : `no QEMU of this host has the device ${device}`;
}

/** Returns the QEMU of an architecture; undefined if the host has none. */
function programFor(host: Host, arch: GuestArch): Qemu | undefined {
  const suffix = arch === "amd64" ? "x86_64" : "aarch64";
  return host.qemus.find(({ program }) =>
    program.endsWith(suffix) ||
    (program.endsWith("qemu-kvm") && host.arch === suffix)
  );
}

function nameFor(host: Host, arch: GuestArch): string {
  return programFor(host, arch)?.program ??
    (arch === "amd64" ? "qemu-system-x86_64" : "qemu-system-aarch64");
}

function vhostUser(host: Host, arch: GuestArch): Recipe {
  const major = programFor(host, arch)?.major ?? 10;
  // From 9.0 on the device refuses a chardev that reconnects.
  const again = major < 9 ? ",reconnect=1" : "";
  const device = `-chardev socket,path=${SOCKET},id=gpio0${again} ` +
    "-device vhost-user-gpio-pci,chardev=gpio0";
  return {
    gpioagg: [`gpioagg serve --socket-path ${SOCKET},group=kvm ${LINES}`],
    qemu: [`${nameFor(host, arch)} … ${MEMORY} ${device}`],
    libvirt: [
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
  return {
    gpioagg: [`gpioagg serve --vfio-user ${SOCKET},group=kvm ${LINES}`],
    qemu: [`${nameFor(host, arch)} … -device '${card}'`],
    libvirt: [
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
  const { major, minor } = programFor(host, arch) ?? { major: 10, minor: 0 };
  const chardev = `-chardev socket,path=${SOCKET},id=gpio0,${
    reconnectOptionOf(major, minor)
  } -device usb-redir,chardev=gpio0`;
  return {
    gpioagg: [
      `gpioagg serve --usbredir ${SOCKET},device=${device},group=kvm ${LINES}`,
    ],
    qemu: [`${nameFor(host, arch)} … -device qemu-xhci ${chardev}`],
    libvirt: [
      "<controller type='usb' model='qemu-xhci'/>",
      `<redirdev bus='usb' type='unix'><source mode='connect' path='${SOCKET}'>` +
      "<reconnect enabled='yes' timeout='1'/></source></redirdev>",
    ],
    proxmox: [`args: -device qemu-xhci ${chardev}`],
  };
}

function pins(host: Host, arch: GuestArch): Recipe {
  const sockets = "-qtest unix:/run/press/qtest,server=on,wait=off " +
    "-qtest-log none -qmp unix:/run/press/qmp,server=on,wait=off";
  return {
    gpioagg: [
      "gpioagg serve --qemu-pins qtest=/run/press/qtest,qmp=/run/press/qmp," +
      `device=pl061 ${LINES}`,
    ],
    qemu: [`${nameFor(host, arch)} -M virt … ${sockets}`],
    libvirt: commandLine(sockets),
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
