/**
 * Stable properties of a chip. `gpiochipN` is a matter of luck: the number moves
 * between boots, and with every replug.
 *
 * @module
 */

/** Properties of a chip; all that are given must be true of it. */
export interface ChipProperties {
  /** The label that the driver gave it. */
  readonly label?: string | undefined;
  /** A path under `/dev`: its device file, or a link, usually of udev's. */
  readonly path?: string | undefined;
  /** The device's path in sysfs, with or without `/sys`. */
  readonly device?: string | undefined;
  /** The serial number of the USB device that it is part of. */
  readonly usbSerial?: string | undefined;
  /** I2C bus and address as sysfs writes them: `1-0020`. */
  readonly i2c?: string | undefined;
  /** The path of its node in the device tree: `/soc/gpio@fe200000`. */
  readonly deviceTree?: string | undefined;
  /** Number of its lines: distinguishes chips that are alike otherwise. */
  readonly lines?: number | undefined;
}
