/**
 * Description of an LJCA: the adapter's interface and the keyboard's.
 *
 * @module
 */
import { endpointPair } from "../core/descriptors.ts";
import { EndpointType, type UsbDescription } from "../core/transfers.ts";
import { KEYBOARD } from "./keyboard.ts";

const VENDOR_INTEL = 0x8086;
const PRODUCT_LJCA = 0x0b63;

/** Number of the endpoints of the adapter itself. */
export const ADAPTER_ENDPOINT = 1;

/** Returns the description of the adapter with this serial number. */
export function describeAdapter(serial: string): UsbDescription {
  return {
    vendor: VENDOR_INTEL,
    product: PRODUCT_LJCA,
    release: 0x0100,
    interfaces: [
      {
        code: [0xff, 0, 0],
        endpoints: endpointPair(ADAPTER_ENDPOINT, EndpointType.Bulk, 0),
      },
      KEYBOARD,
    ],
    strings: ["gpioagg", "GPIO adapter (LJCA)", serial],
  };
}
