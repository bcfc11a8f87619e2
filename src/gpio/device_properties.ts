/**
 * Properties, from sysfs, of the device behind a GPIO chip.
 *
 * @module
 */
import { readSmallFile, realPath } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { chipDirectory, deviceNumber } from "./chip_nodes.ts";

/** Properties of a chip that are known without opening it. */
export interface DeviceProperties {
  /** Its device file. */
  readonly path: string;
  /** The device's path in sysfs, without `/sys`. */
  readonly device: string | undefined;
  /** The serial number of the USB device that it is part of. */
  readonly usbSerial: string | undefined;
  /** I2C bus and address: `1-0020`. */
  readonly i2c: string | undefined;
  /** The path of its node in the device tree. */
  readonly deviceTree: string | undefined;
}

const I2C_DEVICE = /^\d+-[0-9a-f]{4}$/;

/**
 * Looks into sysfs for the chip behind a device file, whatever the file's name is.
 *
 * @param number The chip's device number, such as `254:0`; that of `path` by
 * default.
 * @param sysfs Mount point of sysfs.
 * @throws {OsError} EACCES, ELOOP, …
 */
export function deviceProperties(
  path: string,
  number: string | undefined = deviceNumber(path),
  sysfs = "/sys",
): DeviceProperties {
  const chip = number === undefined ? undefined : chipDirectory(number, sysfs);
  const device = chip?.slice(0, chip.lastIndexOf("/"));
  if (device === undefined) {
    return {
      path,
      device,
      usbSerial: undefined,
      i2c: undefined,
      deviceTree: undefined,
    };
  }
  const root = realPath(sysfs)!;
  const tree = `${root}/firmware/devicetree/base`;
  const node = realPath(`${chip}/of_node`) ?? realPath(`${device}/of_node`);
  return {
    path,
    device: device.slice(root.length),
    usbSerial: findUsbSerial(device, root),
    i2c: device.split("/").findLast((part) => I2C_DEVICE.test(part)),
    deviceTree: node?.startsWith(`${tree}/`)
      ? node.slice(tree.length)
      : undefined,
  };
}

/** The serial number of the nearest USB device above. */
function findUsbSerial(device: string, root: string): string | undefined {
  for (
    let at = device;
    at.length > root.length;
    at = at.slice(0, at.lastIndexOf("/"))
  ) {
    // An interface of the device has no vendor of its own.
    if (fileStatus(`${at}/idVendor`) === undefined) continue;
    return readSmallFile(`${at}/serial`)?.trim();
  }
  return undefined;
}
