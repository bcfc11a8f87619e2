/**
 * Packets of the usbredir protocol, version 0.7: little endian, unpadded.
 *
 * **Source**: usbredir, `docs/usb-redirection-protocol.md`.
 *
 * @module
 */

/** Types of packets. */
export const Packet = {
  Hello: 0,
  DeviceConnect: 1,
  DeviceDisconnect: 2,
  Reset: 3,
  InterfaceInfo: 4,
  EndpointInfo: 5,
  SetConfiguration: 6,
  GetConfiguration: 7,
  ConfigurationStatus: 8,
  SetAltSetting: 9,
  GetAltSetting: 10,
  AltSettingStatus: 11,
  StartIsoStream: 12,
  StopIsoStream: 13,
  IsoStreamStatus: 14,
  StartInterruptReceiving: 15,
  StopInterruptReceiving: 16,
  InterruptReceivingStatus: 17,
  CancelData: 21,
  FilterReject: 22,
  FilterFilter: 23,
  DisconnectAck: 24,
  Control: 100,
  Bulk: 101,
  Iso: 102,
  Interrupt: 103,
} as const;

/** Bits of what a side can. */
export const Capability = {
  ConnectDeviceVersion: 1 << 1,
  DisconnectAck: 1 << 3,
  MaxPacketSize: 1 << 4,
  Ids64: 1 << 5,
  BulkLength32: 1 << 6,
} as const;

/** Capabilities of this side; nothing else is ever sent to it. */
export const OWN_CAPABILITIES = Capability.ConnectDeviceVersion |
  Capability.DisconnectAck | Capability.MaxPacketSize | Capability.Ids64 |
  Capability.BulkLength32;

/** Size of a header whose id has 32 bits: that of a hello, always. */
export const SHORT_HEADER = 12;
/** Size of a header whose id has 64 bits. */
export const LONG_HEADER = 16;
/** Size of the version in a hello. */
export const VERSION_BYTES = 64;
/** Longest hello: with capabilities of later versions. */
export const MAX_HELLO = VERSION_BYTES + 64;
/** Longest body of any packet: a control transfer with all its data. */
export const MAX_BODY = 16 + 0xffff;
/** Endpoints in a table, both directions. */
export const TABLE_ENDPOINTS = 32;
/** Type of an endpoint that is not there. */
export const NO_ENDPOINT = 255;

/** Speed of a device, in the numbers of DeviceConnect. */
export const SPEED_FULL = 1;

/** Returns the place of an endpoint in a table. */
export function tableIndex(address: number): number {
  return (address & 0x0f) + ((address & 0x80) === 0 ? 0 : 16);
}

/** Why a connection ends whose first packet is not a hello. */
export const NO_HELLO =
  "its first packet is not a hello, as from a QEMU that " +
  "was migrated or restored: it connects again";
