/**
 * Choice of the kernel's interface for a chip.
 *
 * @module
 */
import { needsUsb } from "../config/checks/kernel_lines.ts";
import type {
  KernelChipSpecification,
  LineSpecification,
} from "../config/specification.ts";
import { hasDriver } from "./driver.ts";
import { hasHostController } from "../usbip/host_controller.ts";

/**
 * Returns true if a chip goes by the kernel's USB drivers: if its user asks for
 * that, if its lines need more than the kernel's aggregator has, or if the
 * kernel has no aggregator but takes USB devices of programs.
 */
export function goesByUsb(
  { kernelChip = {}, lines }: {
    readonly kernelChip?: KernelChipSpecification | undefined;
    readonly lines: readonly LineSpecification[];
  },
): boolean {
  return needsUsb(kernelChip, lines) ||
    kernelChip.interface === undefined && !hasDriver() && hasHostController();
}
