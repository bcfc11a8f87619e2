/**
 * Replacement of `{socket}`, `{qemu}` and the like among the VMM's arguments of
 * `gpioagg run`.
 *
 * @module
 */
import { ConfigError } from "../config/document/config_error.ts";
import type { UsbredirSpecification } from "../config/specification.ts";
import { qemuArguments, type QemuSockets } from "../qemu/arguments.ts";

/** An aggregator's socket, by the aggregator's name. */
export interface VmSocket {
  name: string;
  path: string;
}

/** A socket of a GPIO adapter on USB. */
export interface VmAdapter {
  path: string;
  device: UsbredirSpecification["device"];
  /** Set if QEMU listens there. */
  connects?: boolean;
}

/** Sockets of a VM's aggregators. */
export interface VmSockets {
  /** vhost-user sockets. */
  sockets: readonly VmSocket[];
  /** vfio-user sockets. */
  cards?: readonly VmSocket[];
  /** usbredir sockets. */
  adapters?: readonly VmAdapter[];
  /** Option by which QEMU connects to those again. */
  reconnect?: string;
  /** Sockets that QEMU opens for the pins of a controller. */
  pins: readonly QemuSockets[];
  /** Set if only {qemu-pins} can pass those to QEMU. */
  arePinsPrivate?: boolean;
  /** Set if only {usbredir} can pass the sockets of adapters to QEMU. */
  areAdaptersPrivate?: boolean;
}

/** Placeholders, for `--help`. */
export const PLACEHOLDERS: Readonly<Record<string, string>> = {
  "{socket}": "the vhost-user socket, anywhere in an argument; with several",
  "{socket:NAME}": "… aggregators, the one of that name",
  "{qemu}":
    "arguments of QEMU: shared memory of the size of -m, and the device",
  "{cloud-hypervisor}":
    "arguments of Cloud Hypervisor (add shared=on to --memory)",
  "{qemu-pins}": "arguments of QEMU that open the sockets of --qemu-pins",
  "{vfio-user}": "arguments of QEMU (10.1 or newer): a PCI card for each of " +
    "--vfio-user",
  "{usbredir}": "arguments of QEMU: GPIO adapters on USB for each of " +
    "--usbredir, and a USB controller if there is none",
  "{uml}": "arguments of a User-Mode Linux kernel",
};

/** The device number of GPIO in the virtio specification. */
const VIRTIO_ID_GPIO = 41;
/** QEMU's default size of a VM's memory. */
const QEMU_DEFAULT_MEMORY = "128M";

type Group = (
  sockets: readonly VmSocket[],
  args: readonly string[],
) => string[];

const GROUPS: Readonly<Record<string, Group>> = {
  "{qemu}": (sockets, args) => [
    ...qemuMemory(args),
    ...sockets.flatMap(({ path }, i) => [
      "-chardev",
      `socket,path=${path.replaceAll(",", ",,")},id=gpioagg${i}`,
      "-device",
      `vhost-user-gpio-pci,chardev=gpioagg${i}`,
    ]),
  ],
  "{cloud-hypervisor}": (sockets) => [
    "--generic-vhost-user",
    ...sockets.map(({ path }) =>
      `socket=${
        withoutMarks(path, /[,"[\]\s]/, "Cloud Hypervisor")
      },device_type=gpio,queue_sizes=[256,256]`
    ),
  ],
  "{uml}": (sockets) =>
    sockets.map(({ path }) =>
      `virtio_uml.device=${
        withoutMarks(path, /[:"'\s]/, "User-Mode Linux")
      }:${VIRTIO_ID_GPIO}`
    ),
};

/**
 * Returns a path that is part of an argument in which a VMM separates parts by
 * special characters. A path that contains one would set other properties.
 *
 * @throws {ConfigError} If it has one of them.
 */
function withoutMarks(path: string, marks: RegExp, vmm: string): string {
  const found = marks.exec(path)?.[0];
  if (found === undefined) return path;
  throw new ConfigError(
    `${vmm} cannot be given a socket with ${JSON.stringify(found)} in its path`,
    { path, hint: "Choose another path for the socket" },
  );
}

/** Placeholders that a VMM's own limits rule out, with the reason. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  "{crosvm}": "crosvm has no vhost-user device of type GPIO",
  "{kvmtool}":
    "kvmtool does not support vhost-user, and has no GPIO device that could " +
    "open a chip: its guests get no lines",
};

/**
 * Replaces placeholders by sockets and ready-made arguments.
 *
 * @throws {ConfigError} If a placeholder is unknown, not applicable, or
 * missing.
 */
export function fillPlaceholders(
  args: readonly string[],
  places: VmSockets,
): string[] {
  const { sockets, cards = [], pins } = places;
  if (places.arePinsPrivate === true) expect(args, "qemu-pins");
  if (places.areAdaptersPrivate === true) expect(args, "usbredir");
  return args.flatMap((arg) => {
    if (arg === "{qemu-pins}") return pinArguments(pins);
    if (arg === "{vfio-user}") return cardArguments(cards);
    if (arg === "{usbredir}") return adapterArguments(places, args);
    const group = GROUPS[arg];
    if (group !== undefined) {
      if (sockets.length === 0) throw noSocket(arg);
      return group(sockets, args);
    }
    const impossible = IMPOSSIBLE[arg];
    if (impossible !== undefined) {
      throw new ConfigError(impossible, { path: arg });
    }
    return [arg.replaceAll(/\{socket(?::([^{}]*))?\}/g, (_, name?: string) => {
      const { path } = selectSocket(sockets, name);
      // It is part of a comma-separated list of settings: the path must stay
      // one of them.
      return arg.includes(",") ? withoutMarks(path, /,/, "a VMM") : path;
    })];
  });
}

/** @throws {ConfigError} If QEMU is not given the private sockets of an option. */
function expect(args: readonly string[], option: string): void {
  if (args.includes(`{${option}}`)) return;
  throw new ConfigError(`QEMU is not given the sockets of --${option}`, {
    hint: `Add {${option}} to its arguments`,
  });
}

function noSocket(placeholder: string): ConfigError {
  return new ConfigError("there is no vhost-user aggregator", {
    path: placeholder,
    hint:
      "{qemu-pins} stands for the sockets of --qemu-pins, {vfio-user} for " +
      "those of --vfio-user, {usbredir} for those of --usbredir",
  });
}

function cardArguments(cards: readonly VmSocket[]): string[] {
  if (cards.length === 0) {
    throw new ConfigError("there is no PCI card", {
      path: "{vfio-user}",
      hint: "Add --vfio-user PATH",
    });
  }
  return cards.flatMap(({ path }, i) => [
    "-device",
    JSON.stringify({
      driver: "vfio-user-pci",
      id: `gpioagg-card${i}`,
      socket: { type: "unix", path },
    }),
  ]);
}

/** Devices of QEMU that are USB controllers for devices of full speed. */
const USB_CONTROLLER =
  /\b(qemu-xhci|nec-usb-xhci|[a-z0-9-]*usb-[uo]hci[0-9]*|pci-ohci)\b/;

/** Returns true if QEMU's argument at `i` gives it such a controller. */
function isUsbController(args: readonly string[], i: number): boolean {
  const value = args[i]!;
  switch (/^--?(.*)/.exec(args[i - 1] ?? "")?.[1]) {
    case "device":
      return USB_CONTROLLER.test(value);
    case "M":
    case "machine":
      return /(^|,)usb=(on|yes|true|y)(,|$)/.test(value);
    default:
      return /^--?usb$/.test(value);
  }
}

/** Name of the controller that is added. */
const CONTROLLER = "gpioagg-xhci";

function adapterArguments(
  { adapters = [], reconnect = "" }: VmSockets,
  args: readonly string[],
): string[] {
  if (adapters.length === 0) {
    throw new ConfigError("there is no GPIO adapter on USB", {
      path: "{usbredir}",
      hint: "Add --usbredir PATH",
    });
  }
  if (adapters.filter(({ device }) => device === "ljca").length > 1) {
    // The kernel names the device of each by a number that is always 0.
    throw new ConfigError("a guest has one LJCA, but there are several", {
      path: "{usbredir}",
      hint: "Have one --usbredir with up to 64 lines, or device=cp2112",
    });
  }
  const hasController = args.some((_, i) => isUsbController(args, i));
  // Otherwise they could come to another one, which refuses their speed.
  const bus = hasController ? "" : `,bus=${CONTROLLER}.0`;
  return [
    // It has as many ports as an aggregator can have adapters, and more.
    ...hasController ? [] : ["-device", `qemu-xhci,id=${CONTROLLER},p2=15`],
    ...adapters.flatMap(({ path, connects = false }, i) => [
      "-chardev",
      `socket,id=gpioagg-usb${i},path=${path.replaceAll(",", ",,")}` +
      (connects ? ",server=on,wait=off" : reconnect),
      "-device",
      `usb-redir,chardev=gpioagg-usb${i}${bus}`,
    ]),
  ];
}

function pinArguments(pins: readonly QemuSockets[]): string[] {
  const [sockets, ...others] = pins;
  if (sockets !== undefined && others.length === 0) {
    return qemuArguments(sockets);
  }
  throw new ConfigError(
    sockets === undefined
      ? "there is no --qemu-pins aggregator"
      : "a QEMU has the pins of one controller, but there are several",
    {
      path: "{qemu-pins}",
      hint: sockets === undefined
        ? "Add --qemu-pins device=TYPE"
        : "Have one --qemu-pins with all lines that fit, and the others by " +
          "vhost-user",
    },
  );
}

function selectSocket(
  sockets: readonly VmSocket[],
  name: string | undefined,
): VmSocket {
  const [first, ...others] = sockets;
  if (first === undefined) throw noSocket("{socket}");
  if (name === undefined && first !== undefined && others.length === 0) {
    return first;
  }
  const found = sockets.find((socket) => socket.name === name);
  if (found !== undefined) return found;
  const names = sockets.map((socket) => `{socket:${socket.name}}`).join(", ");
  throw new ConfigError(
    name === undefined
      ? "is ambiguous: there are several aggregators"
      : `there is no aggregator "${name}"`,
    {
      path: name === undefined ? "{socket}" : `{socket:${name}}`,
      hint: `Write ${names}`,
    },
  );
}

/** The backend maps the VM's memory, so QEMU must share it. */
function qemuMemory(args: readonly string[]): string[] {
  if (args.some((arg) => /(^|,)share=on(,|$)/.test(arg))) return [];
  const id = "gpioagg-memory";
  return [
    "-object",
    `memory-backend-memfd,id=${id},size=${qemuMemorySize(args)},share=on`,
    "-numa",
    `node,memdev=${id}`,
  ];
}

function qemuMemorySize(args: readonly string[]): string {
  const at = args.indexOf("-m");
  if (at < 0) return QEMU_DEFAULT_MEMORY;
  const first = (args[at + 1] ?? "").split(",")[0]!.replace(/^size=/, "");
  if (!/^\d+[bkmgtBKMGT]?$/.test(first)) {
    throw new ConfigError("is not a valid memory size", {
      path: `-m ${args[at + 1]}`,
    });
  }
  // QEMU counts -m in MiB, but a memory backend in bytes.
  return /\d$/.test(first) ? `${first}M` : first;
}
