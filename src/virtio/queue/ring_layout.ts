/**
 * Layout of a split virtqueue, and its parts as views of guest memory.
 *
 * **Source**: virtio 1.3, section 2.7 "Split Virtqueues";
 * `include/uapi/linux/virtio_ring.h`.
 *
 * @module
 */
import { array, layout, U16, U32 } from "../../../ffi/layout.ts";
import { DESCRIPTOR } from "./descriptor_chain.ts";
import { VIRTIO_F_EVENT_IDX_MASK } from "./features.ts";
import type { GuestMemory } from "./guest_memory.ts";

/** `struct virtq_avail` without its ring: `flags`, `idx`. */
export const AVAIL_HEADER = layout("virtq_avail", 4, [
  ["flags", U16],
  ["idx", U16],
]);

/** `struct virtq_used` without its ring: `flags`, `idx`. */
export const USED_HEADER = layout("virtq_used", 4, [
  ["flags", U16],
  ["idx", U16],
]);

/** `struct virtq_used_elem`. */
export const USED_ELEMENT = layout("virtq_used_elem", 8, [
  ["id", U32], // the head
  ["len", U32], // bytes written
]);

/** The driver asks for no notifications (only without EVENT_IDX). */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** The device asks for no kicks (only without EVENT_IDX). */
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** Unit of the headers and of the available ring. **Units**: bytes. */
export const WORD: number = array(U16, 1).size;

const MAX_QUEUE_SIZE = 32768;

/** Place and size of a ring. */
export interface RingOptions {
  /** The guest's memory as it stands; a new memory table needs a new queue. */
  readonly memory: GuestMemory;
  /** Entries of the ring: a power of two, 1 to 32768. */
  readonly size: number;
  /** Guest-physical address of the descriptor table. */
  readonly descriptorAddress: number;
  /** Guest-physical address of the available ring. */
  readonly availAddress: number;
  /** Guest-physical address of the used ring. */
  readonly usedAddress: number;
  /** Negotiated features; INDIRECT_DESC and EVENT_IDX matter here. */
  readonly features: bigint;
}

/** The parts of a ring as views of guest memory. */
export interface RingViews {
  /** The descriptor table. */
  readonly descriptors: DataView;
  /** The available ring with its header, in words. */
  readonly avail: Uint16Array;
  /** The used ring with its header, in words. */
  readonly used: Uint16Array;
  /** Elements of the used ring: id, len, id, len, … */
  readonly usedRing: Uint32Array;
}

/**
 * Views the parts of a ring in guest memory.
 *
 * @returns The views, or why this cannot be a ring.
 */
export function viewRing(options: RingOptions): RingViews | string {
  const { size, features } = options;
  if (
    !Number.isInteger(size) || size < 1 || size > MAX_QUEUE_SIZE ||
    (size & (size - 1)) !== 0
  ) {
    return `Cannot start a queue of ${size} entries: ` +
      `the size must be a power of two from 1 to ${MAX_QUEUE_SIZE}`;
  }
  // Without EVENT_IDX nothing is read or written behind the rings.
  const eventBytes = (features & VIRTIO_F_EVENT_IDX_MASK) !== 0n ? WORD : 0;
  const descriptors = locatePart(
    options,
    "descriptor table",
    options.descriptorAddress,
    size * DESCRIPTOR.size,
    16,
  );
  if (typeof descriptors === "string") return descriptors;
  const avail = locatePart(
    options,
    "available ring",
    options.availAddress,
    AVAIL_HEADER.size + size * WORD + eventBytes,
    2,
  );
  if (typeof avail === "string") return avail;
  const used = locatePart(
    options,
    "used ring",
    options.usedAddress,
    USED_HEADER.size + size * USED_ELEMENT.size + eventBytes,
    4,
  );
  if (typeof used === "string") return used;
  return {
    descriptors,
    avail: new Uint16Array(
      avail.buffer,
      avail.byteOffset,
      avail.byteLength / WORD,
    ),
    used: new Uint16Array(
      used.buffer,
      used.byteOffset,
      used.byteLength / WORD,
    ),
    usedRing: new Uint32Array(
      used.buffer,
      used.byteOffset + USED_HEADER.size,
      size * 2,
    ),
  };
}

function locatePart(
  options: RingOptions,
  what: string,
  address: number,
  length: number,
  alignment: number,
): DataView | string {
  const where = `the ${what} at 0x${address.toString(16)}`;
  if (!Number.isSafeInteger(address) || address % alignment !== 0) {
    return `Cannot start the queue: ${where} is not aligned to ${alignment} bytes`;
  }
  const { memory } = options;
  const region = memory.locate(address, length);
  if (region < 0) {
    return `Cannot start the queue: ${where} (${length} bytes) does not lie ` +
      "in one region of the guest's memory";
  }
  const view = memory.view(region);
  const byteOffset = view.byteOffset + (address - memory.start(region));
  if (byteOffset % alignment !== 0) {
    return `Cannot start the queue: ${where} is mapped where it is not ` +
      `aligned to ${alignment} bytes`;
  }
  return new DataView(view.buffer, byteOffset, length);
}
