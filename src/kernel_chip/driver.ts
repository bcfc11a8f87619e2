/**
 * The kernel's gpio-aggregator: its two interfaces, and its devices.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import {
  makeDirectory,
  removeDirectory,
  writeAttribute,
} from "../../ffi/sysfs.ts";
import { deviceNumber, listChipNodes } from "../gpio/chip_nodes.ts";
import { ConfigError } from "../config/document/config_error.ts";
import type { KernelLine } from "./resolve.ts";

/** The driver's interfaces: configfs since Linux 6.16, sysfs since 5.8. */
export type Interface = "configfs" | "sysfs";

/** The driver's directory in configfs. **Source**: Linux 6.16. */
export const CONFIGFS = "/sys/kernel/config/gpio-aggregator";
const DRIVER = "/sys/bus/platform/drivers/gpio-aggregator";
const DEVICES = "/sys/bus/platform/devices";

/** Highest offset on a chip, plus one, that the sysfs interface takes. */
const SYSFS_OFFSETS = 512;
/**
 * Longest text that sysfs passes to the driver: a page, less its end, in bytes.
 */
const SYSFS_TEXT = 4095;

/**
 * Returns the interface to use: the `wanted` one, or the better one of those
 * that the kernel has.
 *
 * @throws {Error} If the kernel does not have it; the message says what to do.
 */
export function chooseInterface(wanted?: Interface): Interface {
  const has = availableInterfaces();
  if (!has.configfs && !has.sysfs) {
    throw new Error(
      "This kernel has no gpio-aggregator: neither configfs nor sysfs shows " +
        "it. Load it (modprobe gpio-aggregator); it is part of Linux 5.8 and " +
        "newer, built with CONFIG_GPIO_AGGREGATOR. Without it, interface " +
        "usb needs the module vhci-hcd",
    );
  }
  if (wanted === "configfs" && !has.configfs) {
    throw new Error(
      `This kernel has no ${CONFIGFS}: that came with Linux 6.16. Mount ` +
        `configfs if the kernel is newer (mount -t configfs none ` +
        `/sys/kernel/config), or use the sysfs interface`,
    );
  }
  if (wanted === "sysfs" && !has.sysfs) {
    throw new Error(`This kernel has no ${DRIVER}`);
  }
  return wanted ?? (has.configfs ? "configfs" : "sysfs");
}

/** Returns true if the kernel has a gpio-aggregator. */
export function hasDriver(): boolean {
  const { configfs, sysfs } = availableInterfaces();
  return configfs || sysfs;
}

function availableInterfaces(): Record<Interface, boolean> {
  return {
    configfs: fileStatus(CONFIGFS) !== undefined,
    sysfs: fileStatus(DRIVER) !== undefined,
  };
}

/**
 * Rejects lines that the sysfs interface does not support.
 *
 * @throws {ConfigError} At the first such line.
 */
export function checkForSysfs(lines: readonly KernelLine[]): void {
  for (const { position, key, offset, name, isNameRequested } of lines) {
    const reason = isNameRequested
      ? `cannot name a line (as=${name})`
      : offset < 0
      ? `cannot identify the line "${key}": its chip's label is not ` +
        `the only one`
      : offset >= SYSFS_OFFSETS
      ? `takes offsets below ${SYSFS_OFFSETS} only`
      : /[="]/.test(key)
      ? `cannot have the chip label ${JSON.stringify(key)}`
      : undefined;
    if (reason !== undefined) {
      throw new ConfigError(`the kernel's sysfs interface ${reason}`, {
        ...position,
        hint: `Linux 6.16 and newer can, through ${CONFIGFS}`,
      });
    }
  }
  const text = new TextEncoder().encode(newDeviceText(lines));
  if (text.length > SYSFS_TEXT) {
    throw new ConfigError(
      `the kernel's sysfs interface does not support ${lines.length} lines`,
      { hint: "Linux 6.16 and newer support more, through configfs" },
    );
  }
}

/**
 * Returns the text for `new_device`: labels, each with a list of offsets. The
 * driver sorts the offsets of a list in ascending order. A descending offset
 * therefore begins another list.
 */
export function newDeviceText(
  lines: readonly { key: string; offset: number }[],
): string {
  const words: string[] = [];
  for (let i = 0; i < lines.length;) {
    const { key } = lines[i]!;
    const ranges: string[] = [];
    let previous = -1;
    while (lines[i]?.key === key && lines[i]!.offset > previous) {
      const first = lines[i++]!.offset;
      let last = first;
      while (lines[i]?.key === key && lines[i]!.offset === last + 1) {
        last = lines[i++]!.offset;
      }
      ranges.push(first === last ? `${first}` : `${first}-${last}`);
      previous = last;
    }
    // The kernel may take a byte within a character beyond ASCII for a blank.
    words.push(
      /^[\x21-\x7e]+$/.test(key) ? key : `"${key}"`,
      ranges.join(","),
    );
  }
  return words.join(" ");
}

/**
 * Makes a chip's group in configfs, which is empty and has no effect yet.
 *
 * @throws {Error} If it exists: then it belongs to another maker, and must not
 * be touched.
 */
export function makeGroup(group: string): void {
  if (!makeDirectory(group)) {
    throw new Error(`Cannot make ${group}: another process has made it`);
  }
}

/**
 * Makes the chip of an empty group in configfs; it is there when this returns.
 *
 * @returns The device's name: `gpio-aggregator.0`.
 * @throws {OsError} ENXIO if a line cannot be requested; the caller must remove
 * what was made.
 */
export function fillGroup(
  group: string,
  lines: readonly Pick<KernelLine, "key" | "offset" | "name">[],
): string {
  for (const [lineNumber, { key, offset, name }] of lines.entries()) {
    const line = `${group}/line${lineNumber}`;
    makeDirectory(line);
    writeAttribute(`${line}/key`, key);
    writeAttribute(`${line}/offset`, `${offset}`);
    if (name !== "") writeAttribute(`${line}/name`, name);
  }
  const device = readSmallFile(`${group}/dev_name`)!.trim();
  writeAttribute(`${group}/live`, "1");
  return device;
}

/** Removes a group in configfs that we made; does nothing if it is gone. */
export function endThroughConfigfs(group: string): void {
  try {
    writeAttribute(`${group}/live`, "0");
  } catch (error) {
    // EPERM: it was not live.
    if (!isOsError(error, "EPERM", "ENOENT")) throw error;
  }
  for (const name of namesIn(group)) {
    if (isLine(name)) removeDirectory(`${group}/${name}`);
  }
  removeDirectory(group);
}

/**
 * Removes the group that a maker may have made just before it died. Lines are
 * added later, so a group that has any, or is live, belongs to another maker
 * and stays.
 */
export function endEmptyGroup(group: string): void {
  try {
    removeDirectory(group);
  } catch (error) {
    if (!isOsError(error, "ENOTEMPTY", "EBUSY")) throw error;
  }
}

/**
 * Requests a chip through sysfs, which does not report the result.
 *
 * @throws {OsError} EINVAL and the like; then nothing was made.
 */
export function requestThroughSysfs(lines: readonly KernelLine[]): void {
  writeAttribute(`${DRIVER}/new_device`, newDeviceText(lines));
}

/**
 * Removes a device that was made through sysfs, if it is still the same one:
 * its number may have been reused.
 */
export function endThroughSysfs(device: string, inode: string): void {
  if (readInode(device) !== inode) return;
  try {
    writeAttribute(`${DRIVER}/delete_device`, device);
  } catch (error) {
    // Another process has already removed it.
    if (!isOsError(error, "ENOENT")) throw error;
  }
}

/**
 * All devices of the driver on this host, bound or not: `gpio-aggregator.0`.
 */
export function listDevices(): string[] {
  return listDirectory(DEVICES).filter((name) =>
    /^gpio-aggregator\.\d+$/.test(name)
  ).sort((a, b) => parseDeviceNumber(a) - parseDeviceNumber(b));
}

/**
 * Returns the existing devices, each with the mark that distinguishes it from
 * later ones of its name: `NAME INODE`.
 */
export function deviceMarks(): string[] {
  return listDevices().map((device) => deviceMark(device, readInode(device)));
}

/** Returns the mark by which {@linkcode deviceMarks} lists a device. */
export function deviceMark(
  device: string | undefined,
  inode: string | undefined,
): string {
  return `${device} ${inode}`;
}

/**
 * Returns the mark of a device that distinguishes it from later ones of the
 * same name; undefined if there is none.
 */
export function readInode(device: string): string | undefined {
  return fileStatus(`${DEVICES}/${device}`)?.inode.toString();
}

/** Returns true if the driver has bound a device, with all its lines. */
export function isBound(device: string): boolean {
  return readLink(`${DEVICES}/${device}/driver`) !== undefined;
}

/** Returns the name of a device's chip, once it exists: `gpiochip3`. */
export function findChipName(device: string): string | undefined {
  return namesIn(`${DEVICES}/${device}`)
    .find((name) => /^gpiochip\d+$/.test(name));
}

/**
 * Returns the path of the chip's device node, once it exists and is that
 * chip's.
 */
export function findNode(device: string): string | undefined {
  const chip = findChipName(device);
  if (chip === undefined) return undefined;
  const number = readSmallFile(`${DEVICES}/${device}/${chip}/dev`)?.trim();
  if (deviceNumber(`/dev/${chip}`) === number) return `/dev/${chip}`;
  return listChipNodes().find((node) => node.device === number)?.path;
}

/** Keys and offsets of a device's lines, where configfs shows them. */
export function configuredLines(
  device: string,
): { key: string; offset: number; name: string }[] | undefined {
  const group = namesIn(CONFIGFS).map((name) => `${CONFIGFS}/${name}`)
    .find((group) => readAttribute(`${group}/dev_name`) === device);
  if (group === undefined) return undefined;
  const count = namesIn(group).filter(isLine).length;
  return Array.from({ length: count }, (_, lineNumber) => {
    const read = (attribute: string) =>
      readAttribute(`${group}/line${lineNumber}/${attribute}`) ?? "";
    return {
      key: read("key"),
      offset: Number(read("offset")),
      name: read("name"),
    };
  });
}

/**
 * Returns true if a device was made through sysfs, as far as the kernel shows.
 */
export function isMadeThroughSysfs(device: string): boolean {
  // Older kernels have no other interface.
  return fileStatus(CONFIGFS) === undefined ||
    fileStatus(`${CONFIGFS}/_sysfs.${parseDeviceNumber(device)}`) !== undefined;
}

function isLine(name: string): boolean {
  return /^line\d+$/.test(name);
}

/**
 * Returns the value of an attribute, without the line feed that the kernel
 * adds.
 */
function readAttribute(path: string): string | undefined {
  return readSmallFile(path)?.replace(/\n$/, "");
}

/** Returns the names in a directory; empty if it does not exist. */
function namesIn(directory: string): string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (isOsError(error, "ENOENT")) return [];
    throw error;
  }
}

function parseDeviceNumber(device: string): number {
  return Number(device.slice(device.lastIndexOf(".") + 1));
}
