/**
 * What `gpioagg run` puts in for `{socket}`, `{qemu}` and the like among a
 * VMM's arguments.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { qemuArguments, type QemuSockets } from "../qemu/arguments.ts";

/** An aggregator's socket, by the aggregator's name. */
export interface VmSocket {
  name: string;
  path: string;
}

/** How a VM finds its aggregators. */
export interface VmPlaces {
  /** vhost-user sockets. */
  sockets: readonly VmSocket[];
  /** Sockets that QEMU opens for the pins of a controller. */
  pins: readonly QemuSockets[];
  /** Whether nobody but {qemu-pins} can tell QEMU of those. */
  arePinsPrivate?: boolean;
}

/** What can be put in, for `--help`. */
export const PLACEHOLDERS: Readonly<Record<string, string>> = {
  "{socket}": "the vhost-user socket, anywhere in an argument; with several",
  "{socket:NAME}": "… aggregators, the one of that name",
  "{qemu}": "arguments of QEMU: shared memory as -m has it, and the device",
  "{cloud-hypervisor}":
    "arguments of Cloud Hypervisor (add shared=on to --memory)",
  "{qemu-pins}": "arguments of QEMU that open the sockets of --qemu-pins",
  "{uml}": "arguments of a User-Mode Linux kernel",
};

/** The device number of GPIO in the virtio specification. */
const VIRTIO_ID_GPIO = 41;
/** What QEMU gives a VM when nothing is said. */
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
      `socket=${path},device_type=gpio,queue_sizes=[256,256]`
    ),
  ],
  "{uml}": (sockets) =>
    sockets.map(({ path }) => `virtio_uml.device=${path}:${VIRTIO_ID_GPIO}`),
};

/** Those that a peer's own limits rule out, with the reason. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  "{crosvm}": "crosvm knows no vhost-user device of the type GPIO",
  "{kvmtool}":
    "kvmtool speaks no vhost-user, and has no GPIO device that could " +
    "open a chip: its guests get no lines",
};

/**
 * Puts sockets and ready-made arguments in.
 *
 * @throws {ConfigError} If a placeholder is unknown or cannot be, or one is
 * missing.
 */
export function fillPlaceholders(
  args: readonly string[],
  places: VmPlaces,
): string[] {
  const { sockets, pins, arePinsPrivate = false } = places;
  if (arePinsPrivate && pins.length > 0 && !args.includes("{qemu-pins}")) {
    throw new ConfigError("QEMU is not told of the sockets of --qemu-pins", {
      hint: "Write {qemu-pins} among its arguments",
    });
  }
  return args.flatMap((arg) => {
    if (arg === "{qemu-pins}") return pinArguments(pins);
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
      return socketOf(sockets, name).path;
    })];
  });
}

function noSocket(placeholder: string): ConfigError {
  return new ConfigError("there is no vhost-user aggregator", {
    path: placeholder,
    hint: "The sockets of --qemu-pins are put in by {qemu-pins}",
  });
}

function pinArguments(pins: readonly QemuSockets[]): string[] {
  const [sockets, ...others] = pins;
  if (sockets !== undefined && others.length === 0) {
    return qemuArguments(sockets);
  }
  throw new ConfigError(
    sockets === undefined
      ? "there are no pins to open sockets for"
      : "a QEMU shows the pins of one controller, but there are several",
    {
      path: "{qemu-pins}",
      hint: sockets === undefined
        ? "Add --qemu-pins device=TYPE"
        : "Have one --qemu-pins with all lines that fit, and the others by " +
          "vhost-user",
    },
  );
}

function socketOf(
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
      ? "is not clear: there are several aggregators"
      : `there is no aggregator "${name}"`,
    {
      path: name === undefined ? "{socket}" : `{socket:${name}}`,
      hint: `Write ${names}`,
    },
  );
}

/** The backend maps the VM's memory, so QEMU has to share it. */
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
    throw new ConfigError("is no memory size", { path: `-m ${args[at + 1]}` });
  }
  // QEMU counts -m in MiB, but a memory backend in bytes.
  return /\d$/.test(first) ? `${first}M` : first;
}
