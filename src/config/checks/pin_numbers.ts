/**
 * Pins of controllers whose number is known without their machine.
 *
 * @module
 */
import type { Report } from "../document/problems.ts";
import {
  MAX_CARD_LINES,
  MAX_USB_LINES,
  type QemuPinsSpecification,
} from "../specification.ts";

/** Pins of a PL061. */
const PL061_PINS = 8;

/** Reports pins that a PL061 does not have. */
export function checkPinNumbers(
  { device, pins }: QemuPinsSpecification,
  lineCount: number,
  report: Report,
): void {
  if (device !== "pl061") return;
  const named = pins?.find(({ name }) => name !== undefined);
  if (named !== undefined) {
    report(
      `"${named.name}" is not a pin of a PL061: its pins have no names`,
      `They are the numbers 0 to ${PL061_PINS - 1}`,
    );
    return;
  }
  const highest = pins === undefined
    ? lineCount - 1
    : Math.max(...pins.map(({ pin }) => pin));
  if (highest < PL061_PINS) return;
  report(
    `a PL061 has pins 0 to ${PL061_PINS - 1}, but there is pin ${highest}`,
    "Name with pins: the lines that are at its pins",
  );
}

/** Reports more lines than a PCI card has. */
export function checkCard(lineCount: number, report: Report): void {
  if (lineCount <= MAX_CARD_LINES) return;
  report(
    `has ${lineCount} lines, but a PCI card has ${MAX_CARD_LINES}`,
    "Make two aggregators: a VM can have several cards",
  );
}

/** Reports more lines than USB adapters have. */
export function checkUsb(lineCount: number, report: Report): void {
  if (lineCount <= MAX_USB_LINES) return;
  report(
    `has ${lineCount} lines, but USB adapters have at most ${MAX_USB_LINES}`,
    "Make two aggregators; a guest can use one with device: ljca, and others " +
      "with device: cp2112",
  );
}
