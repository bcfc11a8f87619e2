/**
 * Recognition of gpioagg's own adapters among the kernel's USB devices.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";

/** Manufacturer in the description of every adapter of gpioagg's. */
const MANUFACTURER = "gpioagg";

/**
 * Returns true if a USB device is an adapter of a gpioagg.
 *
 * @param directory Directory of the device in sysfs.
 */
export function isOwnAdapter(directory: string): boolean {
  return readSmallFile(`${directory}/manufacturer`)?.trim() === MANUFACTURER;
}
