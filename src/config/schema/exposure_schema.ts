/**
 * Shapes of sockets, files and pins in a configuration file: how aggregators
 * are presented, and where the service itself listens.
 *
 * @module
 */
import { PIN, PIN_PATTERN } from "../values/pin.ts";
import {
  absolutePath,
  ANY_SOCKET_PATH,
  anyText,
  choice,
  DEFAULT_USB_DEVICE,
  DEVICE_INDEX,
  LINE_NAME,
  MODE,
  QEMU_DEVICE,
  SOCKET_PATH,
  type TextKind,
  USB_DEVICE,
  wholeNumber,
} from "../values/values.ts";
import {
  either,
  field,
  keyed,
  mapping,
  type Read,
  required,
  single,
  wholeList,
} from "./schema.ts";

const ACCESS = {
  mode: field("permission bits, in octal and quotes", single(MODE)),
  owner: field("user name or number", single(anyText("a user"))),
  group: field("group name or number", single(anyText("a group"))),
} as const;

/** Access behind a path, as a command line has it. */
const PATH_WITH_ACCESS = /^([^,]+)((?:,(?:mode|owner|group)=[^,]*)+)$/;

/** A path alone, which has its access in keys beside it. */
function pathOnly(
  kind: TextKind<string>,
  key: "path" | "socket",
): TextKind<string> {
  return {
    ...kind,
    read: (text) => {
      const [, path, access] = PATH_WITH_ACCESS.exec(text) ?? [];
      if (path === undefined) return kind.read(text);
      const keys = access!.slice(1).replaceAll(",", ", ")
        .replace(/mode=([^,]*)/, 'mode: "$1"').replaceAll("=", ": ");
      return {
        problem: "has its access behind the path, as on a command line",
        hint: `Write { ${key}: ${path}, ${keys} }`,
      };
    },
  };
}

/** A vhost-user socket. */
export const VHOST_USER = either(
  "a socket path, or a mapping with socket or fd",
  single(pathOnly(SOCKET_PATH, "socket")),
  mapping("a vhost-user socket", {
    socket: field("path of the socket to listen at", single(SOCKET_PATH)),
    fd: field(
      "number of an inherited socket, instead of a path",
      single(wholeNumber("a file descriptor number", 3, 65535)),
    ),
    ...ACCESS,
  }),
);

/** A PCI card. */
export const VFIO_USER = either(
  "a socket path, or a mapping with socket",
  single(pathOnly(SOCKET_PATH, "socket")),
  mapping("a vfio-user socket", {
    socket: required("path of the socket to listen at", single(SOCKET_PATH)),
    ...ACCESS,
  }),
);

/** GPIO adapters on USB. */
export const USBREDIR = either(
  "a socket path, or a mapping with socket or connect",
  single(pathOnly(SOCKET_PATH, "socket")),
  mapping("a usbredir socket", {
    socket: field(
      "path of the socket to listen at, for QEMU to connect to",
      single(SOCKET_PATH),
    ),
    connect: field(
      "path of the socket that QEMU listens at, instead",
      single(SOCKET_PATH),
    ),
    device: field(
      `ljca, up to 64 lines, or cp2112, 8 lines each (${DEFAULT_USB_DEVICE})`,
      single(USB_DEVICE),
    ),
    ...ACCESS,
  }),
);

/** Pins of a controller inside QEMU. */
export const QEMU_PINS = mapping("a mapping with qtest and qmp", {
  qtest: required("path of QEMU's qtest socket", single(SOCKET_PATH)),
  qmp: required("path of QEMU's QMP socket", single(SOCKET_PATH)),
  device: field(
    "pl061, another QOM type, or a QOM path (pl061)",
    single(QEMU_DEVICE),
  ),
  index: field("which of several such devices, from 0", single(DEVICE_INDEX)),
  pins: field(
    "pin number or name to line name (pin 0 is the first line, and so on)",
    keyed(
      "pins with line names",
      PIN,
      PIN_PATTERN,
      single(LINE_NAME),
      "{ 0: START, 1: STOP }",
    ),
  ),
}, { example: "{ qtest: /run/vm.qtest, qmp: /run/vm.qmp }" });

/** A chip of the host's kernel. */
export const KERNEL_CHIP = mapping("a mapping such as {}", {
  interface: field(
    "configfs (Linux 6.16 and newer), sysfs, or usb; what the lines need if " +
      "not said",
    single(choice("configfs", "sysfs", "usb")),
  ),
  device: field(
    "interface usb: model of the adapters, ljca or cp2112",
    single(USB_DEVICE),
  ),
  ...ACCESS,
}, { mayBeEmpty: true });

/** The control socket of an aggregator. */
export const CONTROL = either(
  "a socket path, or a mapping with path, mode, owner or group",
  single(
    pathOnly(ANY_SOCKET_PATH, "path"),
  ),
  mapping("a control socket", {
    path: field(
      "path of the socket (beside the exposure's, with .control)",
      single(ANY_SOCKET_PATH),
    ),
    ...ACCESS,
  }),
);

function position(expected: string, kind: TextKind<string>, help: string) {
  return either(
    `${expected}, or a mapping with path, mode, owner and group`,
    single(pathOnly(kind, "path")),
    mapping(`a mapping with ${expected}`, {
      path: required(help, single(kind)),
      ...ACCESS,
    }),
  );
}

const API_SOCKET = position(
  "a socket path",
  ANY_SOCKET_PATH,
  "path of the socket to listen at",
);

/** The control API of the service. */
export const API = mapping("a control API, with socket or look", {
  socket: field(
    "the socket where things may be changed (mode 0600)",
    API_SOCKET,
  ),
  look: field("the socket where one may only look (mode 0660)", API_SOCKET),
  sockets: field(
    "directory for sockets of aggregators that clients make, and who may use " +
      "those (beside the API's socket, mode 0660)",
    position(
      "a directory",
      absolutePath("an absolute path of a directory"),
      "path of the directory",
    ),
  ),
  "qemu-sockets": field(
    "directories of QEMU sockets that clients may name (none)",
    either(
      "a directory, or a list of directories",
      single(absolutePath("an absolute path of a directory")),
      wholeList(
        "directories",
        single(absolutePath("an absolute path of a directory")),
        1,
      ),
      "list",
    ),
  ),
  "audit-log": field(
    "file that changes are written to, and by whom (standard error)",
    single(absolutePath("an absolute path of a file")),
  ),
}, { example: "{ socket: /run/gpioagg/api.sock }" });

/** A vhost-user socket, as its shape reads it. */
export type VhostUserReading = Read<typeof VHOST_USER>;
/** A vfio-user socket, as its shape reads it. */
export type VfioUserReading = Read<typeof VFIO_USER>;
/** GPIO adapters on USB, as their shape reads them. */
export type UsbredirReading = Read<typeof USBREDIR>;
/** Pins inside QEMU, as their shape reads them. */
export type QemuPinsReading = Read<typeof QEMU_PINS>;
/** A kernel chip, as its shape reads it. */
export type KernelChipReading = Read<typeof KERNEL_CHIP>;
/** A control socket, as its shape reads it. */
export type ControlReading = Read<typeof CONTROL>;
/** A control API, as its shape reads it. */
export type ApiReading = Read<typeof API>;
/** A file with its access, as its shape reads it. */
export type SocketFileReading = Read<typeof API_SOCKET>;
