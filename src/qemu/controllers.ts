/**
 * What is known of GPIO controllers that QEMU emulates.
 *
 * @module
 */

/** The registers of up to 32 pins. **Units**: bytes from the controller's base. */
export interface RegisterBank {
  /** A set bit is an output. */
  readonly direction: number;
  /** The levels that outputs are driven to. */
  readonly data: number;
}

const PL061: readonly RegisterBank[] = [{ direction: 0x400, data: 0x3fc }];
// The read-back of what the guest wrote: the data registers of QEMU's model do
// not follow a pin that gets its level before it becomes an output.
const ASPEED: readonly RegisterBank[] = [
  { direction: 0x004, data: 0x0c0 },
  { direction: 0x024, data: 0x0c4 },
  { direction: 0x074, data: 0x0c8 },
  { direction: 0x07c, data: 0x0cc },
  { direction: 0x084, data: 0x0d0 },
  { direction: 0x08c, data: 0x0d4 },
  { direction: 0x1e4, data: 0x0d8 },
];

/** Pins of one bank; pin n is bit n % 32 of bank n / 32. */
export const PINS_PER_BANK = 32;

/**
 * Registers by the controller's type in QEMU. Reading them changes nothing in
 * the guest.
 *
 * **Source**: Arm DDI 0190 (PL061); Linux, drivers/gpio/gpio-aspeed.c.
 */
const BANKS: Readonly<Record<string, readonly RegisterBank[]>> = {
  "pl061": PL061,
  "pl061_luminary": PL061,
  "aspeed.gpio-ast2400": ASPEED,
  "aspeed.gpio-ast2500": ASPEED,
  "aspeed.gpio-ast2600": ASPEED,
};

/** The registers of a type of controller; undefined where none are known. */
export function banksOf(type: string): readonly RegisterBank[] | undefined {
  return Object.hasOwn(BANKS, type) ? BANKS[type] : undefined;
}
