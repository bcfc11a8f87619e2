/**
 * The second interface of an LJCA: a keyboard whose only key is never pressed.
 *
 * Linux lets the adapter fall asleep after 10 ms without traffic, and hears of
 * no interrupt from then on. The kernel's keyboard handler opens this
 * interface, an open HID interface wants to wake the host, and a configuration
 * that cannot do so is never suspended.
 *
 * @module
 */
import { hidDescriptor } from "../core/descriptors.ts";
import { EndpointType, type Interface } from "../core/transfers.ts";

/** Number of the endpoint that never sends anything. */
export const KEYBOARD_ENDPOINT = 2;

const KEY_F24 = 0x73;

/** HID report descriptor: one key of one bit. */
export const KEYBOARD_REPORT: Uint8Array = Uint8Array.of(
  ...[0x05, 0x01, 0x09, 0x06, 0xa1, 0x01],
  ...[0x05, 0x07, 0x19, KEY_F24, 0x29, KEY_F24],
  ...[0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x01, 0x81, 0x02],
  ...[0x75, 0x07, 0x95, 0x01, 0x81, 0x03, 0xc0],
);

/** The interface. */
export const KEYBOARD: Interface = {
  code: [3, 0, 0],
  classDescriptor: hidDescriptor(KEYBOARD_REPORT),
  endpoints: [{
    address: 0x80 | KEYBOARD_ENDPOINT,
    type: EndpointType.Interrupt,
    maxPacketSize: 8,
    interval: 10,
  }],
};
