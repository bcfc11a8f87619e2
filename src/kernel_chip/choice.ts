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
 * that; or if the kernel takes USB devices of programs, and has no aggregator, or
 * one that does not have what the lines need. Of a kernel with neither it is true
 * for lines that only USB can have, so that its user learns what to load.
 */
export function goesByUsb(
  { kernelChip = {}, lines }: {
    readonly kernelChip?: KernelChipSpecification | undefined;
    readonly lines: readonly LineSpecification[];
  },
): boolean {
  const { interface: wanted, device } = kernelChip;
  if (wanted !== undefined || device !== undefined) {
    return needsUsb(kernelChip, lines);
  }
  return hasHostController()
    ? !hasDriver() || needsUsb(kernelChip, lines)
    : !hasDriver() && needsUsb(kernelChip, lines);
}
