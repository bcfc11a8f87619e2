/**
 * Descriptors of a device with one configuration.
 *
 * **Source**: USB 2.0, section 9.6.
 *
 * @module
 */
import {
  DIRECTION_IN,
  type Endpoint,
  EndpointType,
  type Interface,
  type UsbDescription,
} from "./transfers.ts";

/** Type of a descriptor. */
export const DescriptorType = {
  Device: 1,
  Configuration: 2,
  String: 3,
  Hid: 0x21,
  HidReport: 0x22,
} as const;

/** Size of a packet at the control endpoint. **Units**: bytes. */
export const CONTROL_PACKET = 64;

/** Longest packet of a bulk or interrupt endpoint at full speed, in bytes. */
const FULL_SPEED_PACKET = 64;
const BULK_PACKET_HIGH = 512;
const LANGUAGE_ENGLISH = [4, DescriptorType.String, 0x09, 0x04];
const SELF_POWERED = 0xc0;
const MAX_STRING = 126;

/** Returns the two bytes of a number as they are sent. */
function word(value: number): [number, number] {
  return [value & 0xff, value >>> 8];
}

/** Returns the two endpoints, to and from the host, of one number. */
export function endpointPair(
  number: number,
  type: EndpointType,
  interval: number,
): Endpoint[] {
  return [DIRECTION_IN | number, number].map((address) => ({
    address,
    type,
    maxPacketSize: FULL_SPEED_PACKET,
    interval,
  }));
}

/** Descriptors of a device, ready to be sent. */
export interface Descriptors {
  readonly device: Uint8Array;
  readonly configuration: Uint8Array;
  /** By index; the first one lists the languages. */
  readonly strings: readonly Uint8Array[];
}

/**
 * Makes the descriptors, for a port of full or high speed. A configuration says that the device has power of its
 * own and never wakes its host.
 */
export function makeDescriptors(
  description: UsbDescription,
  isHighSpeed = false,
): Descriptors {
  const { vendor, product, release, interfaces, strings } = description;
  const index = (at: number) => at < strings.length ? at + 1 : 0;
  const body = interfaces.flatMap((one, number) =>
    interfaceDescriptor(
      isHighSpeed ? { ...one, endpoints: one.endpoints.map(atHighSpeed) } : one,
      number,
    )
  );
  return {
    device: Uint8Array.of(
      18,
      DescriptorType.Device,
      ...word(0x0200),
      ...[0, 0, 0, CONTROL_PACKET],
      ...word(vendor),
      ...word(product),
      ...word(release),
      ...[index(0), index(1), index(2), 1],
    ),
    configuration: Uint8Array.of(
      9,
      DescriptorType.Configuration,
      ...word(9 + body.length),
      ...[interfaces.length, 1, 0, SELF_POWERED, 0],
      ...body,
    ),
    strings: [Uint8Array.from(LANGUAGE_ENGLISH), ...strings.map(encodeString)],
  };
}

/**
 * Returns an endpoint as it is at high speed, where bulk packets have one size,
 * and the interval of 2^(n-1) eighths of a millisecond is written as n.
 */
function atHighSpeed(endpoint: Endpoint): Endpoint {
  return endpoint.type === EndpointType.Bulk
    ? { ...endpoint, maxPacketSize: BULK_PACKET_HIGH }
    : {
      ...endpoint,
      interval: Math.ceil(Math.log2(8 * endpoint.interval)) + 1,
    };
}

function interfaceDescriptor(
  { code, endpoints, classDescriptor = new Uint8Array(0) }: Interface,
  number: number,
): number[] {
  return [
    ...[9, 4, number, 0, endpoints.length, ...code, 0],
    ...classDescriptor,
    ...endpoints.flatMap(({ address, type, maxPacketSize, interval }) => [
      ...[7, 5, address, type, ...word(maxPacketSize), interval],
    ]),
  ];
}

function encodeString(text: string): Uint8Array {
  const units = Array.from(
    { length: Math.min(text.length, MAX_STRING) },
    (_, i) => text.charCodeAt(i),
  );
  return Uint8Array.of(
    2 + 2 * units.length,
    DescriptorType.String,
    ...units.flatMap(word),
  );
}

/** Returns the class descriptor of a HID interface. */
export function hidDescriptor(report: Uint8Array): Uint8Array {
  return Uint8Array.of(
    9,
    DescriptorType.Hid,
    ...word(0x0111),
    ...[0, 1, DescriptorType.HidReport],
    ...word(report.length),
  );
}
