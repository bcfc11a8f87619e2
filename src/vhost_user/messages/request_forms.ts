/**
 * The requests that are served, and the form that each must have: sizes,
 * counts of fds, flags. Pure.
 *
 * Whether a request makes sense at its time is for the session to say.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../../ffi/layout.ts";
import { decodeConfig, decodeVringFd, type MessageHeader } from "./codec.ts";
import {
  CONFIG_HEADER,
  FrontendRequest,
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
  REPLY_MASK,
  SINGLE_MEM_REGION,
  U64_PAYLOAD,
  VERSION,
  VERSION_MASK,
  VRING_ADDR,
  VRING_STATE,
} from "./protocol.ts";

/**
 * Largest payload that is read at all, to skip requests that are not known.
 * The largest one that is served has 268 bytes.
 */
export const MAX_PAYLOAD_BYTES = 4096;
/** Most fds that any request carries. */
export const MAX_MESSAGE_FDS = MAX_MEM_TABLE_REGIONS;

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
