/**
 * The kernel's virtual USB host controllers (vhci_hcd), which take a device
 * from a program: their ports, and the chips behind them.
 *
 * **Source**: Linux, `drivers/usb/usbip/vhci_sysfs.c`.
 *
 * @module
 */
import { openFor, readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { writeAttribute, writeOpenAttribute } from "../../ffi/sysfs.ts";

/** Directory of the first controller, which speaks for all of them. */
export const HOST_CONTROLLER = "/sys/devices/platform/vhci_hcd.0";
/** Directory of the kernel's USB devices. */
export const USB_DEVICES = "/sys/bus/usb/devices";
const HIDRAW = "/sys/class/hidraw";

/** Speed of a device: high, in the numbers of the kernel. */
const SPEED_HIGH = 3;
/** State of a port that has no device. */
const PORT_FREE = 4;
/**
 * hidraw devices of a kernel. A CP2112 takes one each; Linux 6.12 crashes in
 * the driver when there is none left. **Source**: Linux, `include/linux/hidraw.h`.
 */
const MAX_HIDRAW = 64;
/** hidraw devices that are left to others. */
const SPARE_HIDRAW = 8;
/**
 * Devices at the kernel's virtual hubs, with those of other programs: enough for
 * two kernel chips of 64 lines.
 */
const MAX_ATTACHED = 16;
/** Depth of a chip below its device: interface, HID device, chip. */
const CHIP_DEPTH = 5;

/** One port for devices of high speed. */
export interface Port {
  readonly port: number;
  /** Number of its controller. */
  readonly controller: number;
  readonly state: number;
  /** Its device under `/sys/bus/usb/devices`; `0-0`: none yet. */
  readonly busId: string;
}

/** Returns true if the kernel's controllers are there. */
export function hasHostController(directory = HOST_CONTROLLER): boolean {
  return fileStatus(`${directory}/attach`) !== undefined;
}

/**
 * Reads the ports of all controllers.
 *
 * @throws {OsError} If they cannot be read.
 */
export function readPorts(directory = HOST_CONTROLLER): Port[] {
  const ports: Port[] = [];
  for (let controller = 0;; controller++) {
    const file = controller === 0 ? "status" : `status.${controller}`;
    const text = readSmallFile(`${directory}/${file}`);
    if (text === undefined) return ports;
    for (const line of text.split("\n")) {
      const [hub, port, state, , , , busId] = line.trim().split(/\s+/);
      if (hub !== "hs" || busId === undefined) continue;
      ports.push({
        port: parseInt(port!, 10),
        controller,
        state: parseInt(state!, 10),
        busId,
      });
    }
  }
}

/**
 * Returns the free ports, those of the least used controllers first: devices of
 * one controller come and go one after the other, and one that does not answer
 * keeps the others waiting.
 */
export function freePorts(ports: readonly Port[]): Port[] {
  const used = new Map<number, number>();
  for (const { controller, state } of ports) {
    const more = state === PORT_FREE ? 0 : 1;
    used.set(controller, (used.get(controller) ?? 0) + more);
  }
  return ports.filter(({ state }) => state === PORT_FREE)
    .map((port, i) => ({ port, i }))
    .sort((a, b) =>
      used.get(a.port.controller)! - used.get(b.port.controller)! || a.i - b.i
    )
    .map(({ port }) => port);
}

/**
 * Attaches the device behind a socket to a free port. The kernel takes a
 * reference to the socket of its own; the chips appear later.
 *
 * @param fd Connected stream socket of this process.
 * @param attachFd The controller's `attach`, which another process opened;
 * absent: this process may open it.
 * @throws {OsError} EACCES, EROFS, EINVAL, …
 * @throws {Error} If no port is free, or no hidraw device is left.
 */
export function attach(
  fd: number,
  directory = HOST_CONTROLLER,
  attachFd?: number,
): Port {
  const ports = readPorts(directory);
  const problem = roomProblem(1, ports);
  if (problem !== undefined) throw new Error(problem);
  for (const port of freePorts(ports)) {
    const text = `${port.port} ${fd} ${port.port + 1} ${SPEED_HIGH}`;
    try {
      if (attachFd === undefined) writeAttribute(`${directory}/attach`, text);
      else writeOpenAttribute(attachFd, text);
      return port;
    } catch (error) {
      // Another program was faster.
      if (!isOsError(error, "EBUSY")) throw error;
    }
  }
  throw new Error("No port of the kernel's virtual USB hubs is free");
}

/** End of the path of a controller's `attach`, wherever sysfs is mounted. */
const ATTACH_FILE = /(^|\/)devices\/platform\/vhci_hcd\.0\/attach$/;

/**
 * Returns why a descriptor that was inherited is not the controller's `attach`,
 * open for writing; undefined if it is. What is written there is an order to the
 * kernel, and in any other file the ruin of its contents.
 *
 * @param path Link to the open file; tests bring their own.
 */
export function attachFdProblem(
  fd: number,
  path = `/proc/self/fd/${fd}`,
): string | undefined {
  const target = readLink(path);
  if (target === undefined) return "is not an open file of this process";
  if (!ATTACH_FILE.test(target)) {
    return `is ${target}, not ${HOST_CONTROLLER}/attach`;
  }
  return openFor(fd).write ? undefined : "is not open for writing";
}

/**
 * Takes the device of a port away, whatever state its program is in; does
 * nothing if the port is free.
 *
 * @throws {OsError} EACCES, EROFS.
 */
export function detach(port: number, directory = HOST_CONTROLLER): void {
  try {
    writeAttribute(`${directory}/detach`, `${port}`);
  } catch (error) {
    if (!isOsError(error, "EINVAL", "ENOENT")) throw error;
  }
}

/** Returns true if a port has no device. */
export function isPortFree({ state }: Pick<Port, "state">): boolean {
  return state === PORT_FREE;
}

/** Returns the device of a port, once the kernel has given it an address. */
export function busIdAt(
  ports: readonly Port[],
  port: number,
): string | undefined {
  const found = ports.find((one) => one.port === port);
  return found === undefined || found.state === PORT_FREE ||
      found.busId === "0-0"
    ? undefined
    : found.busId;
}

/** Returns the serial number of a device; undefined if it is gone. */
export function readSerial(
  busId: string,
  devices = USB_DEVICES,
): string | undefined {
  return readSmallFile(`${devices}/${busId}/serial`)?.replace(/\n$/, "");
}

/** A chip below a USB device. */
interface UsbChip {
  /** `gpiochip3`. */
  readonly name: string;
  /** Device number, as `MAJOR:MINOR`. */
  readonly device: string;
}

/** Returns the chip of a USB device, once it has one. */
export function findChip(
  busId: string,
  devices = USB_DEVICES,
): UsbChip | undefined {
  return chipBelow(`${devices}/${busId}`, CHIP_DEPTH);
}

function chipBelow(directory: string, depth: number): UsbChip | undefined {
  let names: string[];
  try {
    names = listDirectory(directory);
  } catch (error) {
    if (isOsError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
  for (const name of names) {
    if (!/^gpiochip\d+$/.test(name)) continue;
    const device = readSmallFile(`${directory}/${name}/dev`)?.trim();
    if (device !== undefined) return { name, device };
  }
  if (depth === 0) return undefined;
  for (const name of names) {
    const path = `${directory}/${name}`;
    if (
      readLink(path) !== undefined ||
      fileStatus(path)?.kind !== "directory"
    ) continue;
    const found = chipBelow(path, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Returns why the kernel must not take so many more adapters; undefined if it can.
 * A device that was attached and is not known to its driver yet will need a hidraw
 * device: it counts.
 *
 * @param directory Directory of hidraw devices; tests bring their own.
 */
export function roomProblem(
  adapters: number,
  ports: readonly Port[],
  directory = HIDRAW,
): string | undefined {
  const attached = ports.filter((port) => !isPortFree(port));
  if (attached.length + adapters > MAX_ATTACHED) {
    return `The kernel's virtual USB hubs have ${attached.length} devices; ` +
      `gpioagg attaches adapters until they have ${MAX_ATTACHED}`;
  }
  let names: string[] = [];
  try {
    names = listDirectory(directory);
  } catch (error) {
    if (!isOsError(error, "ENOENT")) throw error;
  }
  const paths = names.map((name) => readLink(`${directory}/${name}`) ?? "");
  const coming = attached.filter(({ busId }) =>
    !paths.some((path) => path.split("/").includes(busId))
  );
  return names.length + coming.length + adapters <= MAX_HIDRAW - SPARE_HIDRAW
    ? undefined
    : `The kernel has room for ${MAX_HIDRAW} hidraw devices, of which each ` +
      `USB adapter needs one, and too few are left`;
}

/** Returns true if a device with one of the serial numbers is there. */
export function hasDevice(
  serials: readonly string[],
  devices = USB_DEVICES,
): boolean {
  let names: string[];
  try {
    names = listDirectory(devices);
  } catch (error) {
    if (isOsError(error, "ENOENT", "EACCES")) return false;
    throw error;
  }
  return names.some((name) =>
    serials.includes(readSerial(name, devices) ?? "")
  );
}
