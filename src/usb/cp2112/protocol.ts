/**
 * HID reports of a Silicon Labs CP2112.
 *
 * **Source**: Silicon Labs AN495, "CP2112 interface specification"; Linux,
 * `drivers/hid/hid-cp2112.c`.
 *
 * @module
 */

/** Numbers of reports. */
export const Report = {
  Reset: 0x01,
  GpioConfig: 0x02,
  GpioGet: 0x03,
  GpioSet: 0x04,
  Version: 0x05,
  SmbusConfig: 0x06,
  TransferStatusRequest: 0x15,
  TransferStatusResponse: 0x16,
  Lock: 0x20,
  UsbConfig: 0x21,
  Manufacturer: 0x22,
  Product: 0x23,
  Serial: 0x24,
} as const;

/** Bytes of each report, with its number. */
export const REPORT_BYTES: ReadonlyMap<number, number> = new Map<
  number,
  number
>([
  [Report.Reset, 2],
  [Report.GpioConfig, 5],
  [Report.GpioGet, 2],
  [Report.GpioSet, 3],
  [Report.Version, 3],
  [Report.SmbusConfig, 14],
  [Report.Lock, 2],
  [Report.UsbConfig, 10],
  [Report.Manufacturer, 63],
  [Report.Product, 63],
  [Report.Serial, 63],
]);

/** Answer to the question for a transfer over I2C: it has failed. */
export const NO_I2C: Uint8Array = Uint8Array.of(
  Report.TransferStatusResponse,
  ...[3, 0, 0, 0, 0, 0],
);

const FEATURE = 0xb1;
const OUTPUT = 0x91;
const INPUT = 0x81;

/** HID report descriptor: reports of a vendor's own, of bytes. */
export const REPORT_DESCRIPTOR: Uint8Array = Uint8Array.from([
  ...[0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01],
  ...[0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08],
  ...[...REPORT_BYTES].flatMap(([id, bytes]) => item(id, bytes - 1, FEATURE)),
  ...item(0x10, 3, OUTPUT),
  ...item(0x11, 20, OUTPUT),
  ...item(0x12, 2, OUTPUT),
  ...item(0x13, 63, INPUT),
  ...item(0x14, 62, OUTPUT),
  ...item(0x15, 1, OUTPUT),
  ...item(0x16, 6, INPUT),
  ...item(0x17, 1, OUTPUT),
  0xc0,
]);

function item(id: number, bytes: number, kind: number): number[] {
  return [0x85, id, 0x95, bytes, 0x09, 0x01, kind, 0x02];
}
