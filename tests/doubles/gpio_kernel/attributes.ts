/**
 * Attributes of the drivers in the double.
 *
 * @module
 */
import { HOST_CONTROLLER } from "../../../src/usbip/host_controller.ts";
import { writeDriver } from "./aggregator_driver.ts";
import { writeHostController } from "./host_controller.ts";
import type { GpioKernel } from "./kernel.ts";

export { addDriver } from "./aggregator_driver.ts";

/** Does what is written to an attribute: 0 or an errno. */
export function writeAttribute(
  kernel: GpioKernel,
  path: string,
  text: string,
): number {
  const write = path.startsWith(HOST_CONTROLLER)
    ? writeHostController
    : writeDriver;
  return write(kernel, path, text);
}
