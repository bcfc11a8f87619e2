/**
 * Stable identity of a chip. `gpiochipN` is a matter of luck: the number moves
 * between boots, and with every replug.
 *
 * @module
 */

import type { ChipProperties } from "../gpio/chip_properties.ts";

/** One way to know a chip. */
export interface IdentityKey {
  readonly help: string;
  readonly property: keyof ChipProperties;
  /** Puts the text in order; undefined if it is not of this kind. */
  readonly read: (text: string) => string | number | undefined;
  readonly expected: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

const anyText = (text: string) => text === "" ? undefined : text;
const absolutePath = (text: string) =>
  text.startsWith("/") && text.length > 1 ? text : undefined;

/** All ways to know a chip, in the order of preference. */
export const IDENTITY_KEYS = {
  "usb-serial": {
    property: "usbSerial",
    help: "serial number of its USB device",
    expected: "a serial number such as FT123456",
    read: anyText,
    schema: { type: ["string", "integer"] },
  },
  "i2c": {
    property: "i2c",
    help: "its I2C bus and address, such as 1-0020",
    expected: "an I2C bus and address such as 1-0020",
    read: readI2c,
    schema: { type: "string", pattern: "^\\d+-(0x)?[0-9a-fA-F]{1,4}$" },
  },
  "device-tree": {
    property: "deviceTree",
    help: "path of its node in the device tree",
    expected: "a device-tree path such as /soc/gpio@fe200000",
    read: absolutePath,
    schema: { type: "string", pattern: "^/." },
  },
  "device": {
    property: "device",
    help: "path of its device in sysfs",
    expected: "a sysfs path such as /sys/devices/platform/fe200000.gpio",
    read: (text) => absolutePath(text)?.replace(/^\/sys(?=\/)/, ""),
    schema: { type: "string", pattern: "^/." },
  },
  "path": {
    property: "path",
    help: "path under /dev, usually a link that udev keeps",
    expected: "a path such as /dev/gpio-panel",
    read: absolutePath,
    schema: { type: "string", pattern: "^/." },
  },
  "label": {
    property: "label",
    help: "label that its driver gave it",
    expected: "a label such as pinctrl-bcm2711",
    read: anyText,
    schema: { type: "string", minLength: 1 },
  },
  "lines": {
    property: "lines",
    help: "how many lines it has, to tell apart chips that are alike",
    expected: "a number of lines such as 16",
    read: (text) => /^[1-9]\d{0,4}$/.test(text) ? Number(text) : undefined,
    schema: { type: "integer", minimum: 1, maximum: 65535 },
  },
} as const satisfies Record<string, IdentityKey>;

function readI2c(text: string): string | undefined {
  const match = /^(\d{1,4})-(?:0x)?([0-9a-f]{1,4})$/i.exec(text);
  if (match === null) return undefined;
  return `${Number(match[1])}-${match[2]!.toLowerCase().padStart(4, "0")}`;
}

/** Returns true if these are enough to identify a chip. */
export function isIdentity(identity: ChipProperties): boolean {
  return Object.keys(identity).some((key) => key !== "lines");
}

/**
 * Reads a chip as it stands in a SPEC: `usb-serial:FT123+lines:8`.
 *
 * @returns undefined if the text does not begin with one of the keys: then it
 * is a name, number, path or label. `problem` says what is wrong with it.
 */
export function parseChipIdentity(
  text: string,
):
  | { identity: ChipProperties }
  | { problem: string; hint: string }
  | undefined {
  if (!startsWithKey(text)) return undefined;
  const identity: Record<string, string | number> = {};
  // A plus sign in a value is a value's own unless a key follows it.
  const parts = text.split(
    new RegExp(`\\+(?=(?:${Object.keys(IDENTITY_KEYS).join("|")}):)`),
  );
  for (const part of parts) {
    const colon = part.indexOf(":");
    const key = part.slice(0, colon) as keyof typeof IDENTITY_KEYS;
    const { property, read, expected }: IdentityKey = IDENTITY_KEYS[key];
    const value = read(part.slice(colon + 1));
    if (value === undefined) {
      return {
        problem: `"${part}" is not ${expected}`,
        hint: `Write ${key}: and ${expected}`,
      };
    }
    if (Object.hasOwn(identity, property)) {
      return { problem: `${key} is given twice`, hint: "" };
    }
    identity[property] = value;
  }
  return isIdentity(identity) ? { identity } : {
    problem: `"${text}" has no key other than lines`,
    hint: "Add what it is known by, such as label: or usb-serial:",
  };
}

/** Returns true if the text begins with one of the keys and a colon. */
export function startsWithKey(text: string): boolean {
  const [key] = text.split(":", 1);
  return text.includes(":") && Object.hasOwn(IDENTITY_KEYS, key!);
}

/** The identity as it is written in a SPEC. */
export function identityText(identity: ChipProperties): string {
  return Object.entries(IDENTITY_KEYS)
    .map(([key, { property }]) => [key, identity[property]])
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}:${value}`)
    .join("+");
}
