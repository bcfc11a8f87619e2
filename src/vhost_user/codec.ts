/**
 * Bytes to messages and back: which requests are served, which payloads and
 * fds they may have, and how each payload is read and written. Pure.
 *
 * Checks here are of form only (sizes, counts, flags); whether a request makes
 * sense at its time is for the session to say.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import {
  CONFIG_HEADER,
  FrontendRequest,
  HEADER,
  INFLIGHT,
  INFLIGHT_PACKED_BYTES,
  MAX_MEM_TABLE_REGIONS,
  MEM_REGION,
  MEM_TABLE_HEADER,
  PROTOCOL_FEATURE_BACKEND_REQ_MASK,
  PROTOCOL_FEATURE_CONFIG_MASK,
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK,
  PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK,
  PROTOCOL_FEATURE_STATUS_MASK,
  REPLY_FLAGS,
  REPLY_MASK,
  SINGLE_MEM_REGION,
  U64_PAYLOAD,
  VERSION,
  VERSION_MASK,
  VRING_ADDR,
  VRING_INDEX_MASK,
  VRING_NOFD_MASK,
  VRING_STATE,
} from "./protocol.ts";

/**
 * Largest payload that is read at all, to skip requests that are not known.
 * The largest one that is served has 268 bytes.
 */
export const MAX_PAYLOAD_BYTES = 4096;
/** Most fds that any request carries. */
export const MAX_MESSAGE_FDS = MAX_MEM_TABLE_REGIONS;

/** A message's first 12 bytes. */
export interface MessageHeader {
  /** The request's code, known or not. */
  readonly request: number;
  /** Version, reply and need-reply flags. */
  readonly flags: number;
  /** Length of the payload. **Units**: bytes. */
  readonly size: number;
}

/** The form that one request must have. */
export interface RequestForm {
  /** Smallest payload. **Units**: bytes. */
  readonly minBytes: number;
  /** Largest payload. **Units**: bytes. */
  readonly maxBytes: number;
  /** Fewest fds. */
  readonly minFds: number;
  /** Most fds. */
  readonly maxFds: number;
  /** Set if it has a reply of its own, so that need-reply changes nothing. */
  readonly hasReply: boolean;
  /** Protocol features that must have been negotiated before. */
  readonly needs: bigint;
}

const EMPTY = 0;
const { GET_CONFIG, SET_CONFIG, SET_MEM_TABLE } = FrontendRequest;
const { SET_VRING_CALL, SET_VRING_ERR, SET_VRING_KICK } = FrontendRequest;

function form(
  bytes: number | readonly [min: number, max: number],
  options: {
    fds?: readonly [min: number, max: number];
    hasReply?: boolean;
    needs?: bigint;
  } = {},
): RequestForm {
  const [minBytes, maxBytes] = typeof bytes === "number"
    ? [bytes, bytes]
    : bytes;
  const [minFds, maxFds] = options.fds ?? [0, 0];
  return {
    minBytes,
    maxBytes,
    minFds,
    maxFds,
    hasReply: options.hasReply ?? false,
    needs: options.needs ?? 0n,
  };
}

const config = (hasReply: boolean) =>
  form([CONFIG_HEADER.size, MAX_PAYLOAD_BYTES], {
    hasReply,
    needs: PROTOCOL_FEATURE_CONFIG_MASK,
  });
const vringFd = form(U64_PAYLOAD.size, { fds: [0, 1] });
const memorySlots = PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK;
const inflight = PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK;
const status = PROTOCOL_FEATURE_STATUS_MASK;

/**
 * Every request that is served, and its form. What is not in here is rejected,
 * whatever it carries.
 *
 * GET_QUEUE_NUM and RESET_DEVICE need no negotiation: the specification asks
 * only that the backend offers them.
 */
export const REQUEST_FORMS: ReadonlyMap<number, RequestForm> = new Map<
  number,
  RequestForm
>([
  [FrontendRequest.GET_FEATURES, form(EMPTY, { hasReply: true })],
  [FrontendRequest.SET_FEATURES, form(U64_PAYLOAD.size)],
  [FrontendRequest.SET_OWNER, form(EMPTY)],
  [FrontendRequest.RESET_OWNER, form(EMPTY)],
  [
    SET_MEM_TABLE,
    form([
      MEM_TABLE_HEADER.size + MEM_REGION.size,
      MEM_TABLE_HEADER.size + MAX_MEM_TABLE_REGIONS * MEM_REGION.size,
    ], { fds: [1, MAX_MEM_TABLE_REGIONS] }),
  ],
  [FrontendRequest.SET_VRING_NUM, form(VRING_STATE.size)],
  [FrontendRequest.SET_VRING_ADDR, form(VRING_ADDR.size)],
  [FrontendRequest.SET_VRING_BASE, form(VRING_STATE.size)],
  [FrontendRequest.GET_VRING_BASE, form(VRING_STATE.size, { hasReply: true })],
  [SET_VRING_KICK, vringFd],
  [SET_VRING_CALL, vringFd],
  [SET_VRING_ERR, vringFd],
  [FrontendRequest.GET_PROTOCOL_FEATURES, form(EMPTY, { hasReply: true })],
  [FrontendRequest.SET_PROTOCOL_FEATURES, form(U64_PAYLOAD.size)],
  [FrontendRequest.GET_QUEUE_NUM, form(EMPTY, { hasReply: true })],
  [FrontendRequest.SET_VRING_ENABLE, form(VRING_STATE.size)],
  [
    FrontendRequest.SET_BACKEND_REQ_FD,
    form(EMPTY, { fds: [1, 1], needs: PROTOCOL_FEATURE_BACKEND_REQ_MASK }),
  ],
  [GET_CONFIG, config(true)],
  [SET_CONFIG, config(false)],
  [
    FrontendRequest.GET_INFLIGHT_FD,
    form([INFLIGHT_PACKED_BYTES, INFLIGHT.size], {
      hasReply: true,
      needs: inflight,
    }),
  ],
  [
    FrontendRequest.SET_INFLIGHT_FD,
    form([INFLIGHT_PACKED_BYTES, INFLIGHT.size], {
      fds: [1, 1],
      needs: inflight,
    }),
  ],
  [FrontendRequest.RESET_DEVICE, form(EMPTY)],
  [
    FrontendRequest.GET_MAX_MEM_SLOTS,
    form(EMPTY, { hasReply: true, needs: memorySlots }),
  ],
  [
    FrontendRequest.ADD_MEM_REG,
    form(SINGLE_MEM_REGION.size, { fds: [1, 1], needs: memorySlots }),
  ],
  [
    // An fd is useless here, but frontends exist that send one: it is closed.
    FrontendRequest.REM_MEM_REG,
    form(SINGLE_MEM_REGION.size, { fds: [0, 1], needs: memorySlots }),
  ],
  [FrontendRequest.SET_STATUS, form(U64_PAYLOAD.size, { needs: status })],
  [
    FrontendRequest.GET_STATUS,
    form(EMPTY, { hasReply: true, needs: status }),
  ],
]);

/** Reads a message's header from the first 12 bytes of `view`. */
export function decodeHeader(view: DataView): MessageHeader {
  return {
    request: view.getUint32(HEADER.at.request, LITTLE_ENDIAN),
    flags: view.getUint32(HEADER.at.flags, LITTLE_ENDIAN),
    size: view.getUint32(HEADER.at.size, LITTLE_ENDIAN),
  };
}

/**
 * The rule that a header breaks, known request or not; undefined if none.
 * Flags that have no meaning yet are let through.
 */
export function headerFault(header: MessageHeader): string | undefined {
  if ((header.flags & VERSION_MASK) !== VERSION) {
    return `the version must be 1, not ${header.flags & VERSION_MASK}`;
  }
  if ((header.flags & REPLY_MASK) !== 0) {
    return "a request must not have the reply flag";
  }
  if (header.size > MAX_PAYLOAD_BYTES) {
    return `a payload has at most ${MAX_PAYLOAD_BYTES} bytes, not ${header.size}`;
  }
  return undefined;
}

/** The rule of form that a served request breaks; undefined if none. */
export function formFault(
  request: number,
  form: RequestForm,
  payload: DataView,
  fdCount: number,
): string | undefined {
  const size = payload.byteLength;
  if (size < form.minBytes || size > form.maxBytes) {
    const expected = form.minBytes === form.maxBytes
      ? `${form.minBytes}`
      : `${form.minBytes} to ${form.maxBytes}`;
    return `its payload has ${expected} bytes, not ${size}`;
  }
  if (fdCount < form.minFds || fdCount > form.maxFds) {
    const expected = form.minFds === form.maxFds
      ? `${form.minFds}`
      : `${form.minFds} to ${form.maxFds}`;
    return `it carries ${expected} fds, not ${fdCount}`;
  }
  switch (request) {
    case SET_MEM_TABLE: {
      const count = payload.getUint32(
        MEM_TABLE_HEADER.at.numRegions,
        LITTLE_ENDIAN,
      );
      const regionBytes = size - MEM_TABLE_HEADER.size;
      // UML always sends the whole of its struct, with room for two regions.
      if (
        count === 0 || regionBytes % MEM_REGION.size !== 0 ||
        count > regionBytes / MEM_REGION.size
      ) {
        return `${count} regions do not fit into ${size} bytes`;
      }
      if (fdCount !== count) {
        return `${count} regions need as many fds, not ${fdCount}`;
      }
      return undefined;
    }
    case SET_VRING_KICK:
    case SET_VRING_CALL:
    case SET_VRING_ERR: {
      const expected = decodeVringFd(payload).hasFd ? 1 : 0;
      return fdCount === expected
        ? undefined
        : `bit 8 of its payload promises ${expected} fds, not ${fdCount}`;
    }
    case GET_CONFIG:
    case SET_CONFIG: {
      const { size: bytes } = decodeConfig(payload);
      return size === CONFIG_HEADER.size + bytes
        ? undefined
        : `${bytes} bytes of configuration make a payload of ${
          CONFIG_HEADER.size + bytes
        } bytes, not ${size}`;
    }
    case FrontendRequest.GET_INFLIGHT_FD:
    case FrontendRequest.SET_INFLIGHT_FD:
      return size === INFLIGHT.size || size === INFLIGHT_PACKED_BYTES
        ? undefined
        : `its payload has ${INFLIGHT_PACKED_BYTES} or ${INFLIGHT.size} bytes, not ${size}`;
    default:
      return undefined;
  }
}

/** Reads a payload of one 64-bit number. */
export function decodeU64(payload: DataView): bigint {
  return payload.getBigUint64(U64_PAYLOAD.at.value, LITTLE_ENDIAN);
}

/** A ring and a number: its size, its base, or whether it is enabled. */
export interface VringState {
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
export interface VringFd {
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
export interface ConfigRange {
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
