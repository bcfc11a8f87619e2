/**
 * The numbers of the vhost-user protocol: request codes, flags, feature bits,
 * limits, and the layouts of payloads. Pure data, shared with frontends.
 *
 * Bit numbers end in `_BIT`, masks in `_MASK`, so that the two never mix.
 *
 * **Source**: QEMU's docs/interop/vhost-user.rst.
 *
 * @module
 */
import { layout, PADDING, U16, U32, U64 } from "../../../ffi/layout.ts";

/** Requests of a frontend: the specification's names without `VHOST_USER_`. */
export const FrontendRequest = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SEND_RARP: 19,
  NET_SET_MTU: 20,
  SET_BACKEND_REQ_FD: 21,
  IOTLB_MSG: 22,
  SET_VRING_ENDIAN: 23,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  CREATE_CRYPTO_SESSION: 26,
  CLOSE_CRYPTO_SESSION: 27,
  POSTCOPY_ADVISE: 28,
  POSTCOPY_LISTEN: 29,
  POSTCOPY_END: 30,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  GPU_SET_SOCKET: 33,
  RESET_DEVICE: 34,
  VRING_KICK: 35,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
  GET_SHARED_OBJECT: 41,
  SET_DEVICE_STATE_FD: 42,
  CHECK_DEVICE_STATE: 43,
  GET_SHMEM_CONFIG: 44,
} as const;
/** One of the {@linkcode FrontendRequest} codes. */
export type FrontendRequest =
  typeof FrontendRequest[keyof typeof FrontendRequest];

/** Requests of a backend over the channel of SET_BACKEND_REQ_FD. */
export const BackendRequest = {
  IOTLB_MSG: 1,
  CONFIG_CHANGE_MSG: 2,
  VRING_HOST_NOTIFIER_MSG: 3,
  VRING_CALL: 4,
  VRING_ERR: 5,
} as const;
/** One of the {@linkcode BackendRequest} codes. */
export type BackendRequest = typeof BackendRequest[keyof typeof BackendRequest];

const REQUEST_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FrontendRequest).map(([name, code]) => [code, name]),
);

/** The request's name as the specification spells it, or `request 99`. */
export function requestName(request: number): string {
  return REQUEST_NAMES.get(request) ?? `request ${request}`;
}

/** Returns true if the specification knows the code, offered here or not. */
export function isKnownRequest(request: number): boolean {
  return REQUEST_NAMES.has(request);
}

/** Bits 0 and 1 of a header's flags: the protocol version. */
export const VERSION_MASK = 0x3;
/** The only version there is. */
export const VERSION = 0x1;
/** Flag: the message is a reply. */
export const REPLY_MASK = 0x4;
/** Flag: an answer is wanted even where the request has none of its own. */
export const NEED_REPLY_MASK = 0x8;
/** The flags of every reply, exactly: some frontends compare for equality. */
export const REPLY_FLAGS = VERSION | REPLY_MASK;

/** Virtio feature by which both sides agree to speak of protocol features. */
export const VHOST_USER_F_PROTOCOL_FEATURES_MASK = 1n << 30n;

/** Protocol feature bit 0: GET_QUEUE_NUM returns the number of rings. */
export const PROTOCOL_FEATURE_MQ_MASK = 1n << 0n;
/** Protocol feature bit 3: the need-reply flag is honoured. */
export const PROTOCOL_FEATURE_REPLY_ACK_MASK = 1n << 3n;
/** Protocol feature bit 5: the backend may send requests over a channel of its own. */
export const PROTOCOL_FEATURE_BACKEND_REQ_MASK = 1n << 5n;
/** Protocol feature bit 9: GET_CONFIG and SET_CONFIG. */
export const PROTOCOL_FEATURE_CONFIG_MASK = 1n << 9n;
/** Protocol feature bit 12: what the backend has in flight lives in shared memory and survives it. */
export const PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK = 1n << 12n;
/** Protocol feature bit 13: RESET_DEVICE. */
export const PROTOCOL_FEATURE_RESET_DEVICE_MASK = 1n << 13n;
/** Protocol feature bit 15: regions come and go one by one. */
export const PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK = 1n << 15n;
/** Protocol feature bit 16: SET_STATUS and GET_STATUS. */
export const PROTOCOL_FEATURE_STATUS_MASK = 1n << 16n;

/** SET_VRING_KICK, _CALL and _ERR: bits of the payload that hold the index. */
export const VRING_INDEX_MASK = 0xffn;
/** SET_VRING_KICK, _CALL and _ERR: no fd comes with the message. */
export const VRING_NOFD_MASK = 0x100n;
/** SET_VRING_ADDR flag: writes to the used ring shall be logged. */
export const VHOST_VRING_F_LOG_MASK = 0x1;

/** Most regions that one SET_MEM_TABLE carries. */
export const MAX_MEM_TABLE_REGIONS = 8;
/** Largest part of a configuration space that one message carries. **Units**: bytes. */
export const MAX_CONFIG_BYTES = 256;
/** Largest ring that virtio knows. */
export const MAX_VRING_SIZE = 32768;

/** `struct vhost_user_header`: before every payload. */
export const HEADER = layout("vhost_user_header", 12, [
  ["request", U32],
  ["flags", U32],
  ["size", U32],
]);

/** A payload of one 64-bit number. */
export const U64_PAYLOAD = layout("u64", 8, [["value", U64]]);

/** `struct vhost_vring_state`: a ring and a number. */
export const VRING_STATE = layout("vhost_vring_state", 8, [
  ["index", U32],
  ["num", U32],
]);

/** `struct vhost_vring_addr`: where a ring is, in the frontend's addresses. */
export const VRING_ADDR = layout("vhost_vring_addr", 40, [
  ["index", U32],
  ["flags", U32],
  ["descriptor", U64],
  ["used", U64],
  ["available", U64],
  ["log", U64],
]);

/** One region of guest memory. */
export const MEM_REGION = layout("VhostUserMemoryRegion", 32, [
  ["guestAddress", U64],
  ["size", U64],
  ["userAddress", U64],
  ["mmapOffset", U64],
]);

/** SET_MEM_TABLE: the part before the regions. */
export const MEM_TABLE_HEADER = layout("VhostUserMemory", 8, [
  ["numRegions", U32],
  ["padding", U32],
]);

/** ADD_MEM_REG and REM_MEM_REG: one region behind a padding. */
export const SINGLE_MEM_REGION = layout("VhostUserMemRegMsg", 40, [
  ["padding", U64],
  ["region", MEM_REGION],
]);

/** GET_CONFIG and SET_CONFIG: the part before the bytes. */
export const CONFIG_HEADER = layout("VhostUserConfig", 12, [
  ["offset", U32],
  ["size", U32],
  ["flags", U32],
]);

/**
 * GET_INFLIGHT_FD and SET_INFLIGHT_FD. The C struct is not packed, so its size
 * is 24; a frontend that sends just the four fields sends 20.
 */
export const INFLIGHT = layout("VhostUserInflight", 24, [
  ["mmapSize", U64],
  ["mmapOffset", U64],
  ["numQueues", U16],
  ["queueSize", U16],
  ["padding", PADDING],
]);
/** Size of {@linkcode INFLIGHT} without the padding at its end. **Units**: bytes. */
export const INFLIGHT_PACKED_BYTES = 20;
