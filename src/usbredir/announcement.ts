/**
 * Announcement of a device to a usbredir peer: its interfaces, its endpoints
 * and then the device itself, as the peer expects them after its hello.
 *
 * @module
 */
import { CONTROL_PACKET } from "../usb/core/descriptors.ts";
import {
  DIRECTION_IN,
  EndpointType,
  type UsbDescription,
} from "../usb/core/transfers.ts";
import type { PacketWriter } from "./packet_writer.ts";
import {
  Capability,
  NO_ENDPOINT,
  Packet,
  SPEED_FULL,
  TABLE_ENDPOINTS,
  tableIndex,
} from "./protocol.ts";

/** Writes the packets, as the peer's `capabilities` want them. */
export function announce(
  out: PacketWriter,
  description: UsbDescription,
  capabilities: number,
): void {
  announceInterfaces(out, description);
  announceEndpoints(out, description, capabilities);
  announceDevice(out, description, capabilities);
}

function announceInterfaces(
  out: PacketWriter,
  { interfaces }: UsbDescription,
): void {
  if (!out.begin(Packet.InterfaceInfo, 0, 0, 256)) return;
  out.u32(interfaces.length);
  const rest = TABLE_ENDPOINTS - interfaces.length;
  for (let i = 0; i < interfaces.length; i++) out.u8(i);
  out.zeros(rest);
  for (let part = 0; part < 3; part++) {
    for (const { code } of interfaces) out.u8(code[part]!);
    out.zeros(rest);
  }
  out.finish();
}

function announceEndpoints(
  out: PacketWriter,
  { interfaces }: UsbDescription,
  capabilities: number,
): void {
  const types = new Array<number>(TABLE_ENDPOINTS).fill(NO_ENDPOINT);
  const intervals = new Array<number>(TABLE_ENDPOINTS).fill(0);
  const numbers = new Array<number>(TABLE_ENDPOINTS).fill(0);
  const sizes = new Array<number>(TABLE_ENDPOINTS).fill(0);
  for (const address of [0, DIRECTION_IN]) {
    types[tableIndex(address)] = EndpointType.Control;
    sizes[tableIndex(address)] = CONTROL_PACKET;
  }
  for (const [number, { endpoints }] of interfaces.entries()) {
    for (const { address, type, interval, maxPacketSize } of endpoints) {
      const index = tableIndex(address);
      types[index] = type;
      intervals[index] = interval;
      numbers[index] = number;
      sizes[index] = maxPacketSize;
    }
  }
  if (!out.begin(Packet.EndpointInfo, 0, 0, 256)) return;
  for (const part of [types, intervals, numbers]) {
    for (const value of part) out.u8(value);
  }
  if ((capabilities & Capability.MaxPacketSize) !== 0) {
    for (const size of sizes) out.u16(size);
  }
  out.finish();
}

function announceDevice(
  out: PacketWriter,
  { vendor, product, release }: UsbDescription,
  capabilities: number,
): void {
  if (!out.begin(Packet.DeviceConnect, 0, 0, 16)) return;
  out.u8(SPEED_FULL);
  out.zeros(3);
  out.u16(vendor);
  out.u16(product);
  if ((capabilities & Capability.ConnectDeviceVersion) !== 0) out.u16(release);
  out.finish();
}
