/**
 * Known GPIO controllers that QEMU emulates.
 *
 * @module
 */

/** The registers of up to 32 pins. **Units**: bytes from the controller's base. */
export interface RegisterBank {
  /** A set bit is an output. */
  readonly direction: number;
  /** The levels that outputs are driven to. */
  readonly data: number;
  /** Bits whose set state inverts `data`; absent: none. */
  readonly inversion?: number;
}

/** A type of controller. */
export interface ControllerModel {
  /**
   * Pin n is bit n % 32 of bank n / 32. Reading has no side effect on the
   * guest.
   */
  readonly banks: readonly RegisterBank[];
  /**
   * A reset is reported as a fall of the outputs that were high. Otherwise QEMU
   * still takes them for high and does not report that they rise again.
   */
  readonly reportsReset: boolean;
  /**
   * While a pin is driven from outside, the guest's value is reported wrong: a
   * line must be an input or an output by rule.
   */
  readonly hasOneDriver: boolean;
}

const PL061: readonly RegisterBank[] = [{ direction: 0x400, data: 0x3fc }];
// The read-back of the guest's writes: the data registers of QEMU's model do
// not follow a pin that gets its level before it becomes an output.
const ASPEED: ControllerModel = {
  banks: [
    { direction: 0x004, data: 0x0c0 },
    { direction: 0x024, data: 0x0c4 },
    { direction: 0x074, data: 0x0c8 },
    { direction: 0x07c, data: 0x0cc },
    { direction: 0x084, data: 0x0d0 },
    { direction: 0x08c, data: 0x0d4 },
    { direction: 0x1e4, data: 0x0d8 },
    { direction: 0x1ec, data: 0x0dc },
  ],
  // Its pins are properties, which are never reported.
  reportsReset: true,
  hasOneDriver: false,
};

/** Pins of one bank. */
export const PINS_PER_BANK = 32;

/**
 * Models by the controller's type in QEMU.
 *
 * **Source**: Arm DDI 0190 (PL061); Linux, drivers/gpio/gpio-aspeed.c,
 * gpio-mxc.c and drivers/pinctrl/nuvoton/pinctrl-npcm7xx.c.
 */
const MODELS: Readonly<Record<string, ControllerModel>> = {
  "pl061": { banks: PL061, reportsReset: true, hasOneDriver: false },
  // Pins without pulls float, and keep the last reported level.
  "pl061_luminary": { banks: PL061, reportsReset: false, hasOneDriver: false },
  "aspeed.gpio-ast2400": ASPEED,
  "aspeed.gpio-ast2500": ASPEED,
  "aspeed.gpio-ast2600": ASPEED,
  "imx.gpio": {
    banks: [{ direction: 0x04, data: 0x00 }],
    reportsReset: false,
    hasOneDriver: false,
  },
  "npcm7xx-gpio": {
    banks: [{ direction: 0x10, data: 0x0c, inversion: 0x08 }],
    reportsReset: false,
    hasOneDriver: true,
  },
};

/** Returns the model of a type of controller; undefined if there is none. */
export function findModel(type: string): ControllerModel | undefined {
  return Object.hasOwn(MODELS, type) ? MODELS[type] : undefined;
}
