/**
 * The argument of `--usbredir`:
 * `PATH[,device=ljca|cp2112][,connect][,mode=660][,owner=USER][,group=GROUP]`.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import {
  DEFAULT_USB_DEVICE,
  USB_DEVICE,
  type UsbDeviceName,
} from "../../config/values/values.ts";
import { parseArgument } from "./arguments.ts";
import type { UsbredirSpecification } from "../../config/specification.ts";
import { nearest } from "../../text/nearest.ts";
import { readSocketArgument } from "./socket_argument.ts";

const HOW = "--usbredir PATH[,device=ljca|cp2112][,connect]";
/** The same with access to a socket of ours. */
const HOW_WITH_ACCESS =
  "Write PATH[,device=ljca|cp2112][,connect], or PATH[,device=…][,mode=660]" +
  "[,owner=USER][,group=GROUP]";
/** A setting where the path should be. */
const SETTING = /^(device=|mode=|owner=|group=|connect(=|$))/;

/**
 * Reads the argument.
 *
 * @throws {ConfigError} If there is no path, or a key is unknown, repeated or
 * invalid.
 */
export function readUsbredir(text: string): UsbredirSpecification {
  const switchName = "--usbredir";
  const position = { path: `${switchName} ${text}`, hint: HOW };
  const [first = ""] = text.split(",");
  if (SETTING.test(first)) {
    throw new ConfigError(`has no path before "${first}"`, position);
  }
  let device: UsbDeviceName | undefined;
  let connects = false;
  const rest = text.split(",").filter((part, i) => {
    if (i === 0) return true;
    if (part === "connect") {
      if (connects) throw new ConfigError("connect is given twice", position);
      connects = true;
      return false;
    }
    if (!part.startsWith("device=")) {
      // A path may contain commas, but hardly ends with such a slip.
      if (nearest(part, ["connect"]) === undefined) return true;
      throw new ConfigError(`unknown setting "${part}"`, {
        path: position.path,
        hint: "Did you mean connect?",
      });
    }
    if (device !== undefined) {
      throw new ConfigError("device is given twice", position);
    }
    device = readUsbDevice(part.slice("device=".length), position.path);
    return false;
  });
  const { path, access } = readSocketArgument(
    rest.join(","),
    switchName,
    { hint: HOW_WITH_ACCESS },
  );
  const [key] = Object.keys(access);
  if (connects && key !== undefined) {
    throw new ConfigError(
      `${key} is for a socket of ours, not QEMU's`,
      position,
    );
  }
  return {
    socketPath: path,
    device: device ?? DEFAULT_USB_DEVICE,
    ...(connects ? { connects } : {}),
    ...(key === undefined ? {} : { access }),
  };
}

/**
 * Reads the name of a device.
 *
 * @param path Option, for messages.
 * @throws {ConfigError} If there is no such device.
 */
export function readUsbDevice(text: string, path: string): UsbDeviceName {
  return parseArgument(USB_DEVICE, text, path, `device=${text}`);
}

/**
 * Completes each `--usbredir` among `args` that has no path: QEMU listens in
 * `directory`, which any QEMU can, and each new one does.
 */
export function withAdapterSockets(
  args: readonly string[],
  directory: string,
): string[] {
  let count = 0;
  const filled = (text: string) => {
    const parts = text.split(",");
    if (!SETTING.test(parts[0]!)) return text;
    const settings = parts.filter((part) => part !== "connect");
    return [`${directory}/usb${count++}.sock`, "connect", ...settings].join();
  };
  return args.map((arg, i) =>
    args[i - 1] === "--usbredir"
      ? filled(arg)
      : arg.startsWith("--usbredir=")
      ? `--usbredir=${filled(arg.slice("--usbredir=".length))}`
      : arg
  );
}
