/**
 * The argument of `--usbredir`:
 * `PATH[,device=ljca|cp2112][,connect][,mode=660][,owner=USER][,group=GROUP]`.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { USB_DEVICE, type UsbDeviceName } from "../../config/values/values.ts";
import type { UsbredirSpecification } from "../../config/specification.ts";
import { readSocketPlace } from "./socket_place.ts";

/** Device that has the most lines. */
const USUAL_DEVICE: UsbDeviceName = "ljca";
const HOW = "--usbredir PATH[,device=ljca|cp2112][,connect]";

/**
 * Reads the argument.
 *
 * @throws {ConfigError} If a key is unknown, repeated or invalid.
 */
export function readUsbredir(text: string): UsbredirSpecification {
  const switchName = "--usbredir";
  const place = { path: `${switchName} ${text}`, hint: HOW };
  let device: UsbDeviceName | undefined;
  let connects = false;
  const rest = text.split(",").filter((part, i) => {
    if (i === 0) return true;
    if (part === "connect") {
      if (connects) throw new ConfigError("connect is given twice", place);
      connects = true;
      return false;
    }
    if (!part.startsWith("device=")) return true;
    if (device !== undefined) {
      throw new ConfigError("device is given twice", place);
    }
    device = readUsbDevice(part.slice("device=".length), place);
    return false;
  });
  const { path, access } = readSocketPlace(rest.join(","), switchName);
  const [key] = Object.keys(access);
  if (connects && key !== undefined) {
    throw new ConfigError(`${key} is for a socket of ours, not QEMU's`, place);
  }
  return {
    socketPath: path,
    device: device ?? USUAL_DEVICE,
    ...(connects ? { connects } : {}),
    ...(key === undefined ? {} : { access }),
  };
}

/**
 * Reads the name of a device.
 *
 * @throws {ConfigError} If there is no such device.
 */
export function readUsbDevice(
  text: string,
  place: { path: string; hint: string },
): UsbDeviceName {
  const reading = USB_DEVICE.read(text);
  if ("value" in reading) return reading.value;
  throw new ConfigError(`device=${text} ${reading.problem}`, place);
}
