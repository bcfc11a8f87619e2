/**
 * Chips of this host's kernel behind its own USB drivers: the lines of an
 * aggregator, as GPIO adapters at the kernel's virtual USB hubs. For kernels
 * without gpio-aggregator, and for lines that it does not have: rules, and lines
 * of no chip.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { ConfigError } from "../config/document/config_error.ts";
import { MAX_USB_LINES } from "../config/specification.ts";
import { splitLines, type UsbModel } from "../usb/core/models.ts";
import { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import { listChipNodes } from "../gpio/chip_nodes.ts";
import {
  busIdAt,
  detach,
  findChip,
  hasDevice,
  hasHostController,
  readPorts,
  readSerial,
  roomProblem,
} from "../usbip/host_controller.ts";
import { type ChipRecord, usbSerials } from "./records.ts";
import { UsbRelay } from "./usb_relay.ts";

export { attachFdProblem } from "../usbip/host_controller.ts";

/** Vendor and product of an LJCA, of which a kernel takes one. */
const LJCA_ID = ["8086", "0b63"];

/** A chip that the kernel has made of one adapter. */
export interface AdapterChip {
  /** Device node: `/dev/gpiochip3`. */
  readonly path: string;
  /** `gpiochip3`. */
  readonly name: string;
}

/** An adapter at a port of the kernel's hubs. */
export interface AttachedAdapter {
  readonly port: number;
  readonly serial: string;
}

/** The kernel as chips by USB see it. */
export interface UsbKernel {
  /** See {@linkcode chooseModel}. */
  chooseModel(lineCount: number, wanted?: UsbModel): UsbModel;
  /**
   * Starts the process that relays for these sockets.
   *
   * @param attachFd The controller's `attach`, if another process opened it.
   */
  startRelay(sockets: readonly string[], attachFd?: number): Relay;
  /**
   * Returns the chips of adapters, each by its port and serial number; fewer
   * than that while there are not all.
   */
  chips(adapters: readonly AttachedAdapter[]): AdapterChip[];
  /**
   * Returns true if a device with one of the serial numbers is there, though its
   * connection may have ended.
   */
  hasDevice(serials: readonly string[]): boolean;
  /** Returns the label of a chip. */
  readLabel(path: string): string;
  /** Returns true if a line of a chip is held. */
  isUsed(path: string): boolean;
  /**
   * Returns true if programs that hold a line of a chip which goes may not be
   * told, and its number not come back.
   */
  forgetsHolders(): boolean;
}

/** The process that relays, as far as its maker uses it. */
export type Relay =
  & Pick<UsbRelay, "attached" | "ended">
  & AsyncDisposable;

/** This machine's kernel. */
export const HOST_KERNEL: UsbKernel = {
  chooseModel,
  startRelay: (sockets, attachFd) => UsbRelay.start(sockets, attachFd),
  chips: hostChips,
  hasDevice: (serials) => hasDevice(serials),
  readLabel: (path) => {
    try {
      // The kernel answers this without asking the adapter.
      using chip = Chip.open(path);
      return chip.label;
    } catch (error) {
      // A maker without rights may have none to its chip either.
      if (error instanceof LineError && isOsError(error.cause, "EACCES")) {
        return "";
      }
      throw error;
    }
  },
  isUsed: (path) => {
    try {
      using chip = Chip.open(path);
      return chip.lines().some(({ used }) => used);
    } catch (error) {
      // It was just removed.
      if (error instanceof LineError) return false;
      throw error;
    }
  },
  // Seen with 6.1, and not with 6.12; those between were not tried.
  forgetsHolders: () => {
    const [major = 0, minor = 0] = kernelRelease().split(".").map(Number);
    return major < 6 || (major === 6 && minor < 12);
  },
};

/** Returns why the kernel cannot take an adapter; undefined if it can. */
export function findUsbProblem(): string | undefined {
  return hasHostController()
    ? undefined
    : "This kernel has no virtual USB host controller. Load it (modprobe " +
      "vhci-hcd); it is part of all of Debian's kernels but the cloud ones";
}

/**
 * Chooses the model: an LJCA where the kernel has its driver and no other LJCA,
 * else as many CP2112 as the lines need.
 *
 * @param wanted The user's choice.
 * @throws {ConfigError} If neither can have so many lines.
 * @throws {Error} If the kernel has no controller, or no room for the adapters.
 */
export function chooseModel(
  lineCount: number,
  wanted?: UsbModel,
): UsbModel {
  const problem = findUsbProblem();
  if (problem !== undefined) throw new Error(problem);
  if (lineCount > MAX_USB_LINES) {
    throw new ConfigError(
      `has ${lineCount} lines, but USB adapters have at most ${MAX_USB_LINES}`,
      { hint: "Make several kernel chips, each of a part of the lines" },
    );
  }
  const model = wanted ?? (hasLjcaDriver() && !hasLjca() ? "ljca" : "cp2112");
  if (model === "ljca") {
    if (!hasLjca()) return model;
    throw new Error(
      "This machine has an LJCA already, and a kernel takes one: use cp2112",
    );
  }
  const { length } = splitLines(model, lineCount);
  const tooMany = roomProblem(length, readPorts());
  if (tooMany !== undefined) throw new Error(tooMany);
  return model;
}

function kernelRelease(): string {
  return readSmallFile("/proc/sys/kernel/osrelease")?.trim() ?? "";
}

function hasLjcaDriver(): boolean {
  const release = kernelRelease();
  return ["modules.dep", "modules.builtin"].some((file) =>
    readWhole(`/lib/modules/${release}/${file}`)?.includes("/gpio-ljca.ko") ===
      true
  ) || listNames("/sys/module").includes("gpio_ljca");
}

function readWhole(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function hasLjca(): boolean {
  const devices = "/sys/bus/usb/devices";
  return listNames(devices).some((name) =>
    ["idVendor", "idProduct"].every((file, i) =>
      readSmallFile(`${devices}/${name}/${file}`)?.trim() === LJCA_ID[i]
    )
  );
}

function listNames(directory: string): string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (isOsError(error, "ENOENT", "EACCES")) return [];
    throw error;
  }
}

/** Returns the chips of adapters. Another device at a port has none. */
function hostChips(adapters: readonly AttachedAdapter[]): AdapterChip[] {
  const ports = readPorts();
  const found = adapters.flatMap(({ port, serial }) => {
    const busId = busIdAt(ports, port);
    const isOwn = busId !== undefined && readSerial(busId) === serial;
    return isOwn ? findChip(busId) ?? [] : [];
  });
  // All device nodes are looked at only once there are chips.
  if (found.length < adapters.length) return [];
  const nodes = listChipNodes();
  return found.flatMap(({ name, device }) => {
    const node = nodes.find((one) => one.device === device);
    return node === undefined ? [] : { path: node.path, name };
  });
}

/**
 * Returns the chips of the adapters of a record, in order; undefined unless all
 * of them are there.
 */
export function adapterChips(
  record: Pick<ChipRecord, "id" | "adapters" | "ports">,
  kernel: Pick<UsbKernel, "chips"> = HOST_KERNEL,
): AdapterChip[] | undefined {
  const adapters = attachedAdapters(record);
  if (adapters.length === 0) return undefined;
  const chips = kernel.chips(adapters);
  return chips.length === adapters.length ? chips : undefined;
}

/** Returns the adapters of a record; none before all of them have a port. */
function attachedAdapters(
  record: Pick<ChipRecord, "id" | "adapters" | "ports">,
): AttachedAdapter[] {
  const { ports = [] } = record;
  const serials = usbSerials(record);
  return ports.length === serials.length
    ? serials.map((serial, i) => ({ port: ports[i]!, serial }))
    : [];
}

/**
 * Detaches the adapters of a record, whatever state their maker is in. Only the
 * kernel tells which device has a port now: its serial number is the record's.
 *
 * @param controller The host controller's directory; tests bring their own.
 * @param devices Directory of USB devices; likewise.
 * @throws {OsError} EACCES, EROFS.
 */
export function detachAdapters(
  record: Pick<ChipRecord, "id" | "adapters" | "ports">,
  controller?: string,
  devices?: string,
): void {
  const ports = readPorts(controller);
  for (const { port, serial } of attachedAdapters(record)) {
    const busId = busIdAt(ports, port);
    if (busId !== undefined && readSerial(busId, devices) === serial) {
      detach(port, controller);
    }
  }
}
