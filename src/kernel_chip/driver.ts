/**
 * The kernel's gpio-aggregator: its two interfaces, and its devices.
 *
 * @module
 */
import {
  characterDevice,
  fileStatus,
  listDirectory,
  readLink,
  readSmallFile,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import {
  makeDirectory,
  removeDirectory,
  writeAttribute,
} from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/config_error.ts";
import type { KernelLine } from "./resolve.ts";

/** Which of the driver's interfaces: configfs since Linux 6.16, sysfs since 5.8. */
export type Interface = "configfs" | "sysfs";

/** The driver's directory in configfs. **Source**: Linux 6.16. */
export const CONFIGFS = "/sys/kernel/config/gpio-aggregator";
const DRIVER = "/sys/bus/platform/drivers/gpio-aggregator";
const DEVICES = "/sys/bus/platform/devices";

/** Highest offset on a chip, plus one, that the sysfs interface takes. */
const SYSFS_OFFSETS = 512;
/** Longest text that sysfs hands to the driver: a page, less its end. */
const SYSFS_TEXT = 4095;

/**
 * The interface to use: the one that is `wanted`, or the better of those that
 * the kernel has.
 *
 * @throws {Error} If the kernel has it not; the message says what to do.
 */
export function chooseInterface(wanted?: Interface): Interface {
  const has = {
    configfs: fileStatus(CONFIGFS) !== undefined,
    sysfs: fileStatus(DRIVER) !== undefined,
  };
  if (!has.configfs && !has.sysfs) {
    throw new Error(
      "This kernel has no gpio-aggregator: neither configfs nor sysfs shows " +
        "it. Load it (modprobe gpio-aggregator); it is part of Linux 5.8 and " +
        "newer, built with CONFIG_GPIO_AGGREGATOR",
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

/**
 * Refuses what the sysfs interface cannot say.
 *
 * @throws {ConfigError} At the first line that it cannot have.
 */
export function checkForSysfs(lines: readonly KernelLine[]): void {
  for (const { place, key, offset, name, nameAsked } of lines) {
    const reason = nameAsked
      ? `cannot name a line (as=${name})`
      : offset < 0
      ? `cannot tell the line "${key}" from others: its chip's label is not ` +
        `the only one`
      : offset >= SYSFS_OFFSETS
      ? `takes offsets below ${SYSFS_OFFSETS} only`
      : /[="]/.test(key)
      ? `cannot have the chip label ${JSON.stringify(key)}`
      : undefined;
    if (reason !== undefined) {
      throw new ConfigError(`the kernel's sysfs interface ${reason}`, {
        ...place,
        hint: `Linux 6.16 and newer can, through ${CONFIGFS}`,
      });
    }
  }
  if (newDeviceText(lines).length > SYSFS_TEXT) {
    throw new ConfigError(
      `${lines.length} lines are too many for the kernel's sysfs interface`,
      { hint: "Linux 6.16 and newer take more, through configfs" },
    );
  }
}

/**
 * What is written to `new_device`: labels, each with a list of offsets. The
 * driver takes the offsets of one list in rising order, whatever is written, so
 * a list ends where the order falls.
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
    words.push(/\s/.test(key) ? `"${key}"` : key, ranges.join(","));
  }
  return words.join(" ");
}

/**
 * Makes a chip through configfs; it is there when this returns.
 *
 * @returns The device's name: `gpio-aggregator.0`.
 * @throws {OsError} ENXIO if a line cannot be had; what was made remains, and
 * is the caller's to take down.
 */
export function makeThroughConfigfs(
  directory: string,
  lines: readonly KernelLine[],
): string {
  if (!makeDirectory(directory)) {
    throw new Error(`Cannot make ${directory}: somebody else made it`);
  }
  for (const [lineNumber, { key, offset, name }] of lines.entries()) {
    const line = `${directory}/line${lineNumber}`;
    makeDirectory(line);
    writeAttribute(`${line}/key`, key);
    writeAttribute(`${line}/offset`, `${offset}`);
    if (name !== "") writeAttribute(`${line}/name`, name);
  }
  const device = readSmallFile(`${directory}/dev_name`)!.trim();
  writeAttribute(`${directory}/live`, "1");
  return device;
}

/** Takes down what is at `directory` in configfs; what is not there is done. */
export function endThroughConfigfs(directory: string): void {
  if (fileStatus(directory) === undefined) return;
  try {
    writeAttribute(`${directory}/live`, "0");
  } catch (error) {
    // EPERM: it was not live.
    if (!isOsError(error, "EPERM", "ENOENT")) throw error;
  }
  for (const name of listDirectory(directory)) {
    if (/^line\d+$/.test(name)) removeDirectory(`${directory}/${name}`);
  }
  removeDirectory(directory);
}

/**
 * Asks for a chip through sysfs, which does not say what became of it.
 *
 * @throws {OsError} EINVAL and the like; then nothing was made.
 */
export function askThroughSysfs(lines: readonly KernelLine[]): void {
  writeAttribute(`${DRIVER}/new_device`, newDeviceText(lines));
}

/**
 * Ends a device that was made through sysfs, if it is still the same one: a
 * number that is free again is given to the next device.
 */
export function endThroughSysfs(device: string, inode: string): void {
  if (inodeOf(device) !== inode) return;
  try {
    writeAttribute(`${DRIVER}/delete_device`, device);
  } catch (error) {
    // Somebody else was quicker.
    if (!isOsError(error, "ENOENT")) throw error;
  }
}

/** All devices of the driver on this host, bound or not: `gpio-aggregator.0`. */
export function listDevices(): string[] {
  return listDirectory(DEVICES).filter((name) =>
    /^gpio-aggregator\.\d+$/.test(name)
  ).sort((a, b) => numberOf(a) - numberOf(b));
}

/** Tells a device from a later one of the same name; undefined if there is none. */
export function inodeOf(device: string): string | undefined {
  return fileStatus(`${DEVICES}/${device}`)?.inode.toString();
}

/** Whether the driver has taken a device up, with all its lines. */
export function isBound(device: string): boolean {
  return readLink(`${DEVICES}/${device}/driver`) !== undefined;
}

/** The name of the chip that a device is, once it is there: `gpiochip3`. */
export function chipNameOf(device: string): string | undefined {
  try {
    return listDirectory(`${DEVICES}/${device}`)
      .find((name) => /^gpiochip\d+$/.test(name));
  } catch (error) {
    if (isOsError(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** The path of the chip's device node, once it is there and is that chip's. */
export function nodeOf(device: string): string | undefined {
  const chip = chipNameOf(device);
  if (chip === undefined) return undefined;
  const numbers = readSmallFile(`${DEVICES}/${device}/${chip}/dev`)?.trim();
  const node = characterDevice(`/dev/${chip}`);
  return node !== undefined && numbers === `${node.major}:${node.minor}`
    ? `/dev/${chip}`
    : undefined;
}

/** Keys and offsets of a device's lines, where configfs shows them. */
export function configuredLines(
  device: string,
): { key: string; offset: number; name: string }[] | undefined {
  const directory = configfsDirectoryOf(device);
  if (directory === undefined) return undefined;
  const count = listDirectory(directory)
    .filter((name) => /^line\d+$/.test(name)).length;
  return Array.from({ length: count }, (_, lineNumber) => {
    const read = (attribute: string) =>
      readSmallFile(`${directory}/line${lineNumber}/${attribute}`)?.trim() ??
        "";
    return {
      key: read("key"),
      offset: Number(read("offset")),
      name: read("name"),
    };
  });
}

function configfsDirectoryOf(device: string): string | undefined {
  try {
    return listDirectory(CONFIGFS).map((name) => `${CONFIGFS}/${name}`)
      .find((directory) =>
        readSmallFile(`${directory}/dev_name`)?.trim() === device
      );
  } catch (error) {
    if (isOsError(error, "ENOENT")) return undefined;
    throw error;
  }
}

function numberOf(device: string): number {
  return Number(device.slice(device.lastIndexOf(".") + 1));
}
