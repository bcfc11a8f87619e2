/**
 * Stable identity of a chip: properties that stay when it gets another number,
 * at a boot or a replug.
 *
 * @module
 */
import { realPath } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import {
  requireArray,
  requireKeys,
  requireNumber,
  requireObject,
  requireString,
} from "../text/arguments.ts";
import { specText } from "../text/names.ts";
import { Chip } from "./chip.ts";
import {
  deviceNumber,
  kernelNameAt,
  linksTo,
  listChipNodes,
  listedPath,
} from "./chip_nodes.ts";
import {
  type DeviceProperties,
  deviceProperties,
} from "./device_properties.ts";
import type { ChipProperties } from "./chip_properties.ts";
import { AmbiguousError, LineError } from "./errors.ts";

const PROPERTY_CHECKS: Readonly<
  Record<keyof ChipProperties, (what: string, value: unknown) => void>
> = {
  label: requireString,
  path: requireString,
  device: requireString,
  usbSerial: requireString,
  i2c: requireString,
  deviceTree: requireString,
  lines: requireNumber,
};

/**
 * Refuses properties with unknown keys or values of another type.
 *
 * @throws {TypeError} That names what was given.
 */
export function checkProperties(what: string, properties: unknown): void {
  const keys = Object.keys(PROPERTY_CHECKS);
  requireKeys(what, properties, keys, { serial: "usbSerial" });
  const given = Object.entries(properties as object)
    .filter(([, value]) => value !== undefined);
  // Every chip would have them all.
  if (given.length === 0) {
    throw new TypeError(
      `${what} must have at least one of ${keys.join(", ")}`,
    );
  }
  for (const [key, value] of given) {
    PROPERTY_CHECKS[key as keyof ChipProperties](`${what}.${key}`, value);
  }
}

/** A chip with everything that it is known by. */
export interface ChipIdentities {
  /** Its device file, which moves with its number. */
  readonly path: string;
  /** The kernel's name for it, which moves too. */
  readonly name: string;
  /** The label that its driver gave it; need not be unique. */
  readonly label: string;
  /** Number of its lines. */
  readonly lines: number;
  /** The device's path in sysfs, without `/sys`. */
  readonly device: string | undefined;
  /** The serial number of the USB device that it is part of. */
  readonly usbSerial: string | undefined;
  /** I2C bus and address: `1-0020`. */
  readonly i2c: string | undefined;
  /** The path of its node in the device tree. */
  readonly deviceTree: string | undefined;
  /** Links under `/dev` that lead to it. */
  readonly links: readonly string[];
}

/** Returns true if everything that is visible without opening the chip fits. */
function mayMatch(chip: DeviceProperties, wanted: ChipProperties): boolean {
  const { path, device, usbSerial, i2c, deviceTree } = wanted;
  return (path === undefined || isSameDevice(path, chip.path)) &&
    (device === undefined || isDevice(chip, device)) &&
    (usbSerial === undefined || usbSerial === chip.usbSerial) &&
    (i2c === undefined || i2c === chip.i2c) &&
    (deviceTree === undefined || deviceTree === chip.deviceTree);
}

/**
 * Returns true if two device files, or links to some, are of the same device.
 */
function isSameDevice(one: string, other: string): boolean {
  const device = deviceNumber(one);
  return device !== undefined && device === deviceNumber(other);
}

/** A device path may be a link, and may be that of the chip or of its parent. */
function isDevice(chip: DeviceProperties, wanted: string): boolean {
  if (chip.device === undefined) return false;
  const plain = wanted.replace(/^\/sys(?=\/)/, "");
  const real = realPath(`/sys${plain}`)?.replace(/^\/sys/, "") ?? plain;
  return real === chip.device ||
    real === `${chip.device}/${kernelNameAt(chip.path)}`;
}

/** The properties in words: `usb-serial FT123, 8 lines`. */
export function propertiesText(wanted: ChipProperties): string {
  const { label, path, device, usbSerial, i2c, deviceTree, lines } = wanted;
  const words = [
    usbSerial === undefined ? [] : `USB serial number ${usbSerial}`,
    i2c === undefined ? [] : `I2C address ${i2c}`,
    deviceTree === undefined ? [] : `device-tree path ${deviceTree}`,
    device === undefined ? [] : `device ${device}`,
    path === undefined ? [] : `path ${path}`,
    label === undefined ? [] : `label "${label}"`,
    lines === undefined ? [] : `${lines} lines`,
  ];
  return words.flat().join(", ");
}

/**
 * Finds the chip of which all the properties are true. Chips are opened only
 * if the label or the number of lines is asked for.
 *
 * @returns Its device path; undefined if there is no such chip.
 * @throws {AmbiguousError} If several chips fit: the message lists them, with
 * what would tell them apart.
 * @throws {LineError} If the only chips that could fit may not be opened.
 * @throws {TypeError} For an unknown property, or a value of another type.
 *
 * **Blocking**: looks into `/dev` and `/sys`, and may ask every chip.
 *
 * @example Find a USB chip, whatever its number is today
 * ```ts
 * import { findChipByProperties } from "@gpioagg/gpioagg";
 *
 * const path = findChipByProperties({ usbSerial: "FT123456", lines: 8 });
 * console.log(path ?? "it is not plugged in");
 * ```
 */
export function findChipByProperties(
  wanted: ChipProperties,
): string | undefined {
  checkProperties("the properties", wanted);
  const found: string[] = [];
  let denied: LineError | undefined;
  for (const { path, device } of listChipNodes()) {
    if (!mayMatch(deviceProperties(path, device), wanted)) continue;
    try {
      if (isOpenedMatch(path, wanted)) found.push(path);
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      if (isOsError(error.cause, "EACCES", "EPERM")) denied ??= error;
      else if (!isGone(error)) throw error;
    }
  }
  if (found.length > 1) {
    throw new AmbiguousError({
      chip: `the chip with ${propertiesText(wanted)}`,
      operation: "find",
      reason: `there are ${found.length}: ${
        found.map((path) => candidateText(path, wanted)).join("; ")
      }`,
    });
  }
  if (found.length === 0 && denied !== undefined) throw denied;
  return found[0];
}

function isOpenedMatch(path: string, { label, lines }: ChipProperties) {
  if (label === undefined && lines === undefined) return true;
  using chip = Chip.open(path);
  return (label === undefined || label === chip.label) &&
    (lines === undefined || lines === chip.lineCount);
}

/** Unplugged while we look. */
function isGone(error: LineError): boolean {
  return error.cause === undefined ||
    isOsError(error.cause, "ENODEV", "ENXIO", "ENOENT");
}

/** A candidate with what distinguishes it from the others. */
function candidateText(path: string, wanted: ChipProperties): string {
  const texts = identityTexts(chipIdentities(path));
  const others = texts.filter((text) => !propertyTexts(wanted).includes(text));
  return `${kernelNameAt(path)} (${others.join(", ")})`;
}

/**
 * Everything that a chip is known by.
 *
 * @throws {LineError} If the chip cannot be opened.
 *
 * @example How could each chip be named for good?
 * ```ts
 * import { chipIdentities, identityTexts, listChips } from "@gpioagg/gpioagg";
 *
 * for (const path of listChips()) {
 *   console.log(path, identityTexts(chipIdentities(path)).join(" or "));
 * }
 * ```
 */
export function chipIdentities(path: string): ChipIdentities {
  using chip = Chip.open(path);
  const device = deviceNumber(chip.path);
  return {
    ...deviceProperties(listedPath(chip.path), device),
    name: chip.name,
    label: chip.label,
    lines: chip.lineCount,
    links: device === undefined ? [] : linksTo(device),
  };
}

/**
 * Returns the properties of a chip that stay wherever it is plugged in: label,
 * number of lines, and the serial number, I2C address or device-tree path that
 * it has.
 *
 * @throws {LineError} If the chip cannot be opened.
 */
export function stableProperties(chipPath: string): ChipProperties {
  using chip = Chip.open(chipPath);
  const { usbSerial, i2c, deviceTree } = deviceProperties(chip.path);
  const { label, lineCount: lines } = chip;
  return { label, lines, usbSerial, i2c, deviceTree };
}

/**
 * A chip's identities as they are pasted into a SPEC or a configuration, the
 * surest first: `usb-serial:FT123456`, `label:soc-gpio`, `lines:8`.
 *
 * @example What a chip on I2C is known by
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { identityTexts } from "@gpioagg/gpioagg";
 *
 * assertEquals(
 *   identityTexts({
 *     path: "/dev/gpiochip3",
 *     name: "gpiochip3",
 *     label: "1-0020",
 *     lines: 16,
 *     device: "/devices/platform/soc/i2c-1/1-0020",
 *     usbSerial: undefined,
 *     i2c: "1-0020",
 *     deviceTree: undefined,
 *     links: [],
 *   }),
 *   [
 *     "i2c:1-0020",
 *     "device:/devices/platform/soc/i2c-1/1-0020",
 *     "label:1-0020",
 *     "lines:16",
 *   ],
 * );
 * ```
 */
export function identityTexts(chip: ChipIdentities): string[] {
  requireObject("the chip", chip);
  requireArray("the chip's links", chip.links);
  return [
    ...propertyTexts({ ...chip, path: undefined, lines: undefined }),
    ...chip.links.map((link) => `path:${specText(link)}`),
    `lines:${chip.lines}`,
  ];
}

function propertyTexts(properties: ChipProperties): string[] {
  const { usbSerial, i2c, deviceTree, device, path, label, lines } = properties;
  const pairs: [string, string | number | undefined][] = [
    ["usb-serial", usbSerial],
    ["i2c", i2c],
    ["device-tree", deviceTree],
    ["device", device],
    ["path", path],
    ["label", label],
    ["lines", lines],
  ];
  return pairs.flatMap(([key, value]) =>
    value === undefined || value === ""
      ? []
      : [`${key}:${specText(`${value}`)}`]
  );
}
