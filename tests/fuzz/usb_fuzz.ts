/**
 * Parts of hostile hosts of USB adapters that are the same on both wires:
 * the adapters' requests, disturbances of the lines, and the check that nothing
 * of a host stays.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { LineOperation } from "../../src/line/port.ts";
import type { UsbRig } from "../doubles/usb_rig.ts";
import type { Random } from "./ring_fuzz_random.ts";

const ODD_BYTES = [0, 1, 2, 3, 4, 5, 6, 8, 0x12, 0x14, 0x40, 0x50, 0x81, 0xff];
/** Lengths at which something changes. */
export const ODD_LENGTHS = [0, 1, 2, 4, 7, 8, 11, 63, 64, 65, 1000, 0xffff];
/** Lines change, answer late, or fail; time passes. */
export function disturb(rig: UsbRig, random: Random): void {
  const port = random.pick(rig.ports);
  switch (random.below(6)) {
    case 0:
      return port.pull(random.below(2));
    case 1:
      port.slow = random.oneIn(2);
      return;
    case 2:
      for (const one of rig.ports) if (one.isPending) one.finish();
      return;
    case 3:
      port.broken = random.oneIn(4);
      return;
    case 4:
      return rig.clock.pass(random.below(300));
    case 5:
      rig.rules[random.below(rig.rules.length)] = random.pick(
        ["any", "any", "input", "output"] as const,
      );
  }
}

/** Returns a byte, often one that means something. */
export function odd(random: Random): number {
  return random.oneIn(2) ? random.pick(ODD_BYTES) : random.below(256);
}

/** Returns bytes of any length. */
export function randomBytes(random: Random): number[] {
  const length = random.oneIn(8) ? random.pick(ODD_LENGTHS) : random.below(24);
  return Array.from({ length }, () => odd(random));
}

/** Feature and output reports of a CP2112, and one that it does not have. */
const REPORTS = [2, 3, 4, 5, 6, 0x10, 0x14, 0x20, 0x21, 0x22, 0x24, 0x77];

/** Returns the number of a report, of which most are a CP2112's. */
export function reportNumber(random: Random): number {
  return random.oneIn(8) ? odd(random) : random.pick(REPORTS);
}

/** A feature report of a CP2112. */
export function randomReport(random: Random): number[] {
  if (random.oneIn(8)) {
    const length = random.pick([4, 4, 5, 9, 10, 13, 61, 62, 63]);
    return [reportNumber(random), ...Array.from({ length }, () => odd(random))];
  }
  return random.oneIn(2)
    ? [2, odd(random), odd(random), 0, 0]
    : [4, odd(random), odd(random)];
}

/** A request of an LJCA, at times with one byte that is wrong. */
export function randomMessage(random: Random): number[] {
  const message = validMessage(random);
  if (random.oneIn(10)) message[random.below(message.length)] = odd(random);
  return message;
}

function validMessage(random: Random): number[] {
  if (random.oneIn(6)) return [1, random.pick([2, 4, 5, 8]), 5, 0];
  const line = random.oneIn(8) ? odd(random) : random.below(4);
  const value = random.pick([0, 1, 0x12, 0x14, 0x40, 0xc8, 0xd0, 0x48, 0x50]);
  return [3, 1 + random.below(6), 5, 3, 1, line, value];
}

/** Checks that a host that is gone has left the lines. */
export function assertLeft(rig: UsbRig): void {
  for (const port of rig.ports) {
    port.broken = false;
    while (port.isPending) port.finish();
    port.slow = false;
    const wasUsed = port.calls.some(({ operation }) =>
      operation !== LineOperation.Deactivate
    );
    if (wasUsed) {
      assertEquals(port.calls.at(-1)!.operation, LineOperation.Deactivate);
    }
  }
  rig.clock.pass(1000);
  assertEquals(rig.clock.pending, 0);
  assertEquals(
    rig.told.filter((one) => one === "gone").length,
    rig.told.filter((one) => one === "began").length,
  );
}
