/**
 * Bytes to messages and back: how each header and payload is read and written.
 * Pure; `request_forms.ts` has the checks of their form.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../../ffi/layout.ts";
import {
  CONFIG_HEADER,
  HEADER,
  INFLIGHT,
  MEM_REGION,
  MEM_TABLE_HEADER,
  REPLY_FLAGS,
  SINGLE_MEM_REGION,
  U64_PAYLOAD,
  VRING_ADDR,
  VRING_INDEX_MASK,
  VRING_NOFD_MASK,
  VRING_STATE,
} from "./protocol.ts";

/** A message's first 12 bytes. */
export interface MessageHeader {
  /** The request's code, known or not. */
  readonly request: number;
  /** Version, reply and need-reply flags. */
  readonly flags: number;
  /** Length of the payload. **Units**: bytes. */
  readonly size: number;
}

/** Reads a message's header from the first 12 bytes of `view`. */
export function decodeHeader(view: DataView): MessageHeader {
  return {
    request: view.getUint32(HEADER.at.request, LITTLE_ENDIAN),
    flags: view.getUint32(HEADER.at.flags, LITTLE_ENDIAN),
    size: view.getUint32(HEADER.at.size, LITTLE_ENDIAN),
  };
}

/** Reads a payload of one 64-bit number. */
export function decodeU64(payload: DataView): bigint {
  return payload.getBigUint64(U64_PAYLOAD.at.value, LITTLE_ENDIAN);
}

/** A ring and a number: its size, its base, or whether it is enabled. */
interface VringState {
  /** The ring's index. */
  readonly index: number;
  /** The number. */
  readonly num: number;
}

/** Reads the payload of SET_VRING_NUM, _BASE, _ENABLE and GET_VRING_BASE. */
export function decodeVringState(payload: DataView): VringState {
  return {
    index: payload.getUint32(VRING_STATE.at.index, LITTLE_ENDIAN),
    num: payload.getUint32(VRING_STATE.at.num, LITTLE_ENDIAN),
  };
}

/** Addresses of a ring, in the frontend's own address space. */
export interface VringAddress {
  /** The ring's index. */
  readonly index: number;
  /** `VHOST_VRING_F_LOG_MASK` or nothing. */
  readonly flags: number;
  /** The descriptor table. */
  readonly descriptor: number;
  /** The used ring. */
  readonly used: number;
  /** The available ring. */
  readonly available: number;
}

/**
 * A 64-bit address or size as a number. Those above 2^53 round to something
 * that is still no safe integer, which every range check refuses.
 */
function decodeAddress(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, LITTLE_ENDIAN));
}

/** Reads the payload of SET_VRING_ADDR. */
export function decodeVringAddress(payload: DataView): VringAddress {
  return {
    index: payload.getUint32(VRING_ADDR.at.index, LITTLE_ENDIAN),
    flags: payload.getUint32(VRING_ADDR.at.flags, LITTLE_ENDIAN),
    descriptor: decodeAddress(payload, VRING_ADDR.at.descriptor),
    used: decodeAddress(payload, VRING_ADDR.at.used),
    available: decodeAddress(payload, VRING_ADDR.at.available),
  };
}

/** Which ring an fd is for, and whether one comes along. */
interface VringFd {
  /** The ring's index. */
  readonly index: number;
  /** False when bit 8 says that there is none. */
  readonly hasFd: boolean;
}

/** Reads the payload of SET_VRING_KICK, _CALL and _ERR. */
export function decodeVringFd(payload: DataView): VringFd {
  const value = decodeU64(payload);
  return {
    index: Number(value & VRING_INDEX_MASK),
    hasFd: (value & VRING_NOFD_MASK) === 0n,
  };
}

/** One region of guest memory, as the frontend describes it. **Units**: bytes. */
export interface RegionDescription {
  /** First guest-physical address. */
  readonly guestAddress: number;
  /** Length. */
  readonly size: number;
  /** First address in the frontend's own address space. */
  readonly userAddress: number;
  /** Offset of the region in its file. */
  readonly mmapOffset: number;
}

function decodeRegion(payload: DataView, offset: number): RegionDescription {
  const { at } = MEM_REGION;
  return {
    guestAddress: decodeAddress(payload, offset + at.guestAddress),
    size: decodeAddress(payload, offset + at.size),
    userAddress: decodeAddress(payload, offset + at.userAddress),
    mmapOffset: decodeAddress(payload, offset + at.mmapOffset),
  };
}

/** Reads the payload of SET_MEM_TABLE. */
export function decodeMemTable(payload: DataView): RegionDescription[] {
  const count = payload.getUint32(
    MEM_TABLE_HEADER.at.numRegions,
    LITTLE_ENDIAN,
  );
  return Array.from(
    { length: count },
    (_, i) =>
      decodeRegion(payload, MEM_TABLE_HEADER.size + i * MEM_REGION.size),
  );
}

/** Reads the payload of ADD_MEM_REG and REM_MEM_REG. */
export function decodeSingleRegion(payload: DataView): RegionDescription {
  return decodeRegion(payload, SINGLE_MEM_REGION.at.region);
}

/** A part of the configuration space. */
interface ConfigRange {
  /** Offset. **Units**: bytes. */
  readonly offset: number;
  /** Size. **Units**: bytes. */
  readonly size: number;
  /** 0 for the driver's access, 1 for migration. */
  readonly flags: number;
}

/** Reads the payload of GET_CONFIG and SET_CONFIG, up to the bytes. */
export function decodeConfig(payload: DataView): ConfigRange {
  return {
    offset: payload.getUint32(CONFIG_HEADER.at.offset, LITTLE_ENDIAN),
    size: payload.getUint32(CONFIG_HEADER.at.size, LITTLE_ENDIAN),
    flags: payload.getUint32(CONFIG_HEADER.at.flags, LITTLE_ENDIAN),
  };
}

/** Place of in-flight state. */
export interface InflightDescription {
  /** Length of the whole area. **Units**: bytes. */
  readonly mmapSize: number;
  /** Offset in its file. **Units**: bytes. */
  readonly mmapOffset: number;
  /** Rings it has room for. */
  readonly numQueues: number;
  /** Descriptors that each of those rings may have. */
  readonly queueSize: number;
}

/** Reads the payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. */
export function decodeInflight(payload: DataView): InflightDescription {
  const { at } = INFLIGHT;
  return {
    mmapSize: decodeAddress(payload, at.mmapSize),
    mmapOffset: decodeAddress(payload, at.mmapOffset),
    numQueues: payload.getUint16(at.numQueues, LITTLE_ENDIAN),
    queueSize: payload.getUint16(at.queueSize, LITTLE_ENDIAN),
  };
}

/** Makes a whole message: header and payload. */
export function encodeMessage(
  request: number,
  flags: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(HEADER.size + payload.length);
  const view = new DataView(message.buffer);
  view.setUint32(HEADER.at.request, request, LITTLE_ENDIAN);
  view.setUint32(HEADER.at.flags, flags, LITTLE_ENDIAN);
  view.setUint32(HEADER.at.size, payload.length, LITTLE_ENDIAN);
  message.set(payload, HEADER.size);
  return message;
}

/** Makes the reply to `request`: its code, flags of exactly 5, and a payload. */
export function encodeReply(
  request: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return encodeMessage(request, REPLY_FLAGS, payload);
}

/** Makes a payload of one 64-bit number. */
export function encodeU64(value: bigint): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(U64_PAYLOAD.size);
  new DataView(payload.buffer).setBigUint64(
    U64_PAYLOAD.at.value,
    value,
    LITTLE_ENDIAN,
  );
  return payload;
}

/** Makes the payload of a reply to GET_VRING_BASE. */
export function encodeVringState(
  { index, num }: VringState,
): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(VRING_STATE.size);
  const view = new DataView(payload.buffer);
  view.setUint32(VRING_STATE.at.index, index, LITTLE_ENDIAN);
  view.setUint32(VRING_STATE.at.num, num, LITTLE_ENDIAN);
  return payload;
}

/** Makes the payload of a reply to GET_CONFIG: the range and its bytes. */
export function encodeConfig(
  range: ConfigRange,
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(CONFIG_HEADER.size + bytes.length);
  const view = new DataView(payload.buffer);
  view.setUint32(CONFIG_HEADER.at.offset, range.offset, LITTLE_ENDIAN);
  view.setUint32(CONFIG_HEADER.at.size, bytes.length, LITTLE_ENDIAN);
  view.setUint32(CONFIG_HEADER.at.flags, range.flags, LITTLE_ENDIAN);
  payload.set(bytes, CONFIG_HEADER.size);
  return payload;
}

/**
 * Makes the payload of a reply to GET_INFLIGHT_FD; `size` is that of the
 * request's payload, with or without the padding at the end.
 */
export function encodeInflight(
  description: InflightDescription,
  size: number,
): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(size);
  const view = new DataView(payload.buffer);
  const { at } = INFLIGHT;
  view.setBigUint64(at.mmapSize, BigInt(description.mmapSize), LITTLE_ENDIAN);
  view.setBigUint64(
    at.mmapOffset,
    BigInt(description.mmapOffset),
    LITTLE_ENDIAN,
  );
  view.setUint16(at.numQueues, description.numQueues, LITTLE_ENDIAN);
  view.setUint16(at.queueSize, description.queueSize, LITTLE_ENDIAN);
  return payload;
}
