/**
 * The frontend's encoding of vhost-user messages: pure, from values to bytes
 * and back.
 *
 * **Source**: QEMU docs/interop/vhost-user.rst.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import {
  CONFIG_HEADER,
  HEADER,
  INFLIGHT,
  MEM_REGION,
  MEM_TABLE_HEADER,
  SINGLE_MEM_REGION,
  U64_PAYLOAD,
  VRING_ADDR,
  VRING_NOFD_MASK,
  VRING_STATE,
} from "../vhost_user/messages/protocol.ts";
import type { Region } from "./memory.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Addresses of a region, without what holds it. */
type RegionAddress = Pick<
  Region,
  "guestAddress" | "userAddress" | "length" | "fileOffset"
>;

/** Addresses of a ring's parts, in the frontend's own address space. */
export interface VringAddress {
  /** The descriptor table. */
  readonly descriptors: number | bigint;
  /** The available ring. */
  readonly avail: number | bigint;
  /** The used ring. */
  readonly used: number | bigint;
  /** Flags; bit 0 asks for logging. */
  readonly flags?: number;
  /** Address of the log. */
  readonly log?: number | bigint;
}

/** Header of a message. */
interface Header {
  /** The request code. */
  readonly request: number;
  /** Version, reply and need-reply bits. */
  readonly flags: number;
  /** Size of what follows. **Units**: bytes. */
  readonly size: number;
}

function makeView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A whole message. `size` is what the header claims, which a hostile test
 * may make different from what follows.
 */
export function encodeMessage(
  request: number,
  flags: number,
  size: number,
  payload: Uint8Array,
): Bytes {
  const message = new Uint8Array(HEADER.size + payload.length);
  const view = makeView(message);
  view.setUint32(HEADER.at.request, request, LITTLE_ENDIAN);
  view.setUint32(HEADER.at.flags, flags, LITTLE_ENDIAN);
  view.setUint32(HEADER.at.size, size, LITTLE_ENDIAN);
  message.set(payload, HEADER.size);
  return message;
}

/** Takes a header apart. */
export function decodeHeader(bytes: Uint8Array): Header {
  const view = makeView(bytes);
  return {
    request: view.getUint32(HEADER.at.request, LITTLE_ENDIAN),
    flags: view.getUint32(HEADER.at.flags, LITTLE_ENDIAN),
    size: view.getUint32(HEADER.at.size, LITTLE_ENDIAN),
  };
}

/** A payload of one 64-bit number. */
export function encodeU64(value: bigint): Bytes {
  const payload = new Uint8Array(U64_PAYLOAD.size);
  makeView(payload).setBigUint64(U64_PAYLOAD.at.value, value, LITTLE_ENDIAN);
  return payload;
}

/** Reads a payload of one 64-bit number. */
export function decodeU64(payload: Uint8Array): bigint {
  return makeView(payload).getBigUint64(U64_PAYLOAD.at.value, LITTLE_ENDIAN);
}

/** A ring and a number. */
export function encodeVringState(index: number, value: number): Bytes {
  const payload = new Uint8Array(VRING_STATE.size);
  const view = makeView(payload);
  view.setUint32(VRING_STATE.at.index, index, LITTLE_ENDIAN);
  view.setUint32(VRING_STATE.at.num, value, LITTLE_ENDIAN);
  return payload;
}

/** Reads a ring and a number. */
export function decodeVringState(
  payload: Uint8Array,
): { index: number; value: number } {
  const view = makeView(payload);
  return {
    index: view.getUint32(VRING_STATE.at.index, LITTLE_ENDIAN),
    value: view.getUint32(VRING_STATE.at.num, LITTLE_ENDIAN),
  };
}

/** SET_VRING_ADDR. */
export function encodeVringAddress(
  index: number,
  address: VringAddress,
): Bytes {
  const { descriptors, avail, used, flags = 0, log = 0 } = address;
  const { at } = VRING_ADDR;
  const payload = new Uint8Array(VRING_ADDR.size);
  const view = makeView(payload);
  view.setUint32(at.index, index, LITTLE_ENDIAN);
  view.setUint32(at.flags, flags, LITTLE_ENDIAN);
  view.setBigUint64(at.descriptor, BigInt(descriptors), LITTLE_ENDIAN);
  view.setBigUint64(at.used, BigInt(used), LITTLE_ENDIAN);
  view.setBigUint64(at.available, BigInt(avail), LITTLE_ENDIAN);
  view.setBigUint64(at.log, BigInt(log), LITTLE_ENDIAN);
  return payload;
}

/** SET_VRING_KICK, SET_VRING_CALL and SET_VRING_ERR. */
export function encodeVringFd(index: number, withFd: boolean): Bytes {
  return encodeU64(BigInt(index) | (withFd ? 0n : VRING_NOFD_MASK));
}

function putRegion(view: DataView, at: number, region: RegionAddress): void {
  const put = (field: number, value: number) =>
    view.setBigUint64(at + field, BigInt(value), LITTLE_ENDIAN);
  put(MEM_REGION.at.guestAddress, region.guestAddress);
  put(MEM_REGION.at.size, region.length);
  put(MEM_REGION.at.userAddress, region.userAddress);
  put(MEM_REGION.at.mmapOffset, region.fileOffset);
}

/** SET_MEM_TABLE with as many regions as there are. */
export function encodeMemoryTable(regions: readonly RegionAddress[]): Bytes {
  const payload = new Uint8Array(
    MEM_TABLE_HEADER.size + regions.length * MEM_REGION.size,
  );
  const view = makeView(payload);
  view.setUint32(
    MEM_TABLE_HEADER.at.numRegions,
    regions.length,
    LITTLE_ENDIAN,
  );
  regions.forEach((region, index) =>
    putRegion(view, MEM_TABLE_HEADER.size + index * MEM_REGION.size, region)
  );
  return payload;
}

/** ADD_MEM_REG and REM_MEM_REG. */
export function encodeMemoryRegion(region: RegionAddress): Bytes {
  const payload = new Uint8Array(SINGLE_MEM_REGION.size);
  putRegion(makeView(payload), SINGLE_MEM_REGION.at.region, region);
  return payload;
}

/** GET_CONFIG and SET_CONFIG. */
export function encodeConfig(
  offset: number,
  size: number,
  flags: number,
  bytes: Uint8Array,
): Bytes {
  const payload = new Uint8Array(CONFIG_HEADER.size + bytes.length);
  const view = makeView(payload);
  view.setUint32(CONFIG_HEADER.at.offset, offset, LITTLE_ENDIAN);
  view.setUint32(CONFIG_HEADER.at.size, size, LITTLE_ENDIAN);
  view.setUint32(CONFIG_HEADER.at.flags, flags, LITTLE_ENDIAN);
  payload.set(bytes, CONFIG_HEADER.size);
  return payload;
}

/** GET_INFLIGHT_FD and SET_INFLIGHT_FD, with the C struct's padding. */
export function encodeInflight(
  size: number,
  offset: number,
  queueCount: number,
  queueSize: number,
): Bytes {
  const payload = new Uint8Array(INFLIGHT.size);
  const view = makeView(payload);
  view.setBigUint64(INFLIGHT.at.mmapSize, BigInt(size), LITTLE_ENDIAN);
  view.setBigUint64(INFLIGHT.at.mmapOffset, BigInt(offset), LITTLE_ENDIAN);
  view.setUint16(INFLIGHT.at.numQueues, queueCount, LITTLE_ENDIAN);
  view.setUint16(INFLIGHT.at.queueSize, queueSize, LITTLE_ENDIAN);
  return payload;
}

/** Reads where the backend's in-flight region is. **Units**: bytes. */
export function decodeInflight(
  payload: Uint8Array,
): { size: number; offset: number } {
  const view = makeView(payload);
  return {
    size: Number(view.getBigUint64(INFLIGHT.at.mmapSize, LITTLE_ENDIAN)),
    offset: Number(view.getBigUint64(INFLIGHT.at.mmapOffset, LITTLE_ENDIAN)),
  };
}
