/**
 * Evidence of the guest behind a ring: whether a ring that is found is the one
 * that was left, or one that another driver has begun.
 *
 * Indices alone cannot say. They count modulo 65,536, so a driver that begins
 * anew after a multiple of that many requests finds the same numbers. The used
 * ring can: only the device writes it, and a driver clears it before it begins.
 * Of large rings, what was written last is evidence enough, so that a look at a
 * ring of any size is short.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../../ffi/layout.ts";
import { DESCRIPTOR } from "../../virtio/queue/descriptor_chain.ts";
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import {
  AVAIL_HEADER,
  USED_ELEMENT,
  USED_HEADER,
} from "../../virtio/queue/ring_layout.ts";
import type { TakenHeads } from "../../virtio/queue/taken_heads.ts";
import type { LogRecord } from "../../virtio/queue/inflight.ts";

/** Ring indices count modulo one more. */
const MAX_RING_INDEX = 0xffff;

/** Entries of a ring that are looked at, at each end of a part of it. */
const EVIDENCE = 256;

/** FNV-1a over 32-bit words. */
const HASH_START = 0x811c_9dc5;
const HASH_PRIME = 0x0100_0193;

/** Location of a ring in guest-physical memory. */
export interface RingAddress {
  /** The descriptor table. */
  readonly descriptorAddress: number;
  /** The available ring. */
  readonly availAddress: number;
  /** The used ring. */
  readonly usedAddress: number;
}

/** Result of comparing a ring with what is known of an earlier one. */
export type RingIdentity = "same" | "other" | "unknown";

/** The part of a log's record that identifies its ring. */
type LogSummary =
  & Pick<LogRecord, "usedIndex" | "hasGivenBack">
  & { readonly taken: Pick<TakenHeads, "count"> };

/** Returns the ring's `used.idx`; the place was translated as a range before. */
export function readUsedIndex(
  memory: GuestMemory,
  { usedAddress }: RingAddress,
): number {
  return readIndex(memory, usedAddress + USED_HEADER.at.idx);
}

/** Returns the ring's `avail.idx`; the place was translated as a range before. */
function readAvailIndex(
  memory: GuestMemory,
  { availAddress }: RingAddress,
): number {
  return readIndex(memory, availAddress + AVAIL_HEADER.at.idx);
}

function readIndex(memory: GuestMemory, at: number): number {
  const region = memory.locate(at, 2);
  return region < 0
    ? 0
    : memory.view(region).getUint16(at - memory.start(region), LITTLE_ENDIAN);
}

/** The used ring's elements as words, or `undefined` if they are not mapped. */
function usedElements(
  memory: GuestMemory,
  { usedAddress }: RingAddress,
  size: number,
): DataView | undefined {
  const at = usedAddress + USED_HEADER.size;
  const length = size * USED_ELEMENT.size;
  const region = memory.locate(at, length);
  if (region < 0) return undefined;
  const view = memory.view(region);
  return new DataView(
    view.buffer,
    view.byteOffset + (at - memory.start(region)),
    length,
  );
}

/**
 * Returns true if nothing was ever used in a ring: its index is 0, and so is
 * every element, which no index that wrapped around leaves behind.
 */
export function isUsedRingBlank(
  memory: GuestMemory,
  place: RingAddress,
  size: number,
): boolean {
  if (readUsedIndex(memory, place) !== 0) return false;
  const elements = usedElements(memory, place, size);
  if (elements === undefined) return true;
  return isBlankAtEnds(elements, USED_ELEMENT.size);
}

/**
 * Returns true if the first and last entries are 0: a device goes on from one
 * end of the ring to the other, and an index of 0 is at both.
 */
function isBlankAtEnds(entries: DataView, entrySize: number): boolean {
  const length = entries.byteLength;
  const end = EVIDENCE * entrySize;
  for (let at = 0; at < length; at += 4) {
    if (at === end) at = Math.max(at, length - end);
    if (entries.getUint32(at, LITTLE_ENDIAN) !== 0) return false;
  }
  return true;
}

/** Returns true if neither driver nor device has written to a ring yet. */
export function isRingBlank(
  memory: GuestMemory,
  place: RingAddress,
  size: number,
): boolean {
  if (readAvailIndex(memory, place) !== 0) return false;
  const length = size * DESCRIPTOR.size;
  const region = memory.locate(place.descriptorAddress, length);
  if (region < 0) return false;
  const view = memory.view(region);
  const start = place.descriptorAddress - memory.start(region);
  const table = new DataView(view.buffer, view.byteOffset + start, length);
  if (!isBlankAtEnds(table, DESCRIPTOR.size)) return false;
  return isUsedRingBlank(memory, place, size);
}

/**
 * Returns a checksum of all that no driver may change while it uses the ring:
 * what was used last, and the descriptors of the heads that the device has had
 * for longest. Another checksum means another driver, or memory that is used
 * for something else. Returns `undefined` while the ring's memory is not
 * mapped.
 */
export function ringSignature(
  memory: GuestMemory,
  place: RingAddress,
  size: number,
  taken: TakenHeads,
): number | undefined {
  const elements = usedElements(memory, place, size);
  const tableBytes = size * DESCRIPTOR.size;
  const table = memory.locate(place.descriptorAddress, tableBytes);
  if (elements === undefined || table < 0) return undefined;
  const usedIndex = readUsedIndex(memory, place);
  let hash = mix(HASH_START, usedIndex);
  for (let i = 1; i <= Math.min(size, 2 * EVIDENCE); i++) {
    const at = ((usedIndex - i) & (size - 1)) * USED_ELEMENT.size;
    hash = mix(hash, elements.getUint32(at, LITTLE_ENDIAN));
    hash = mix(hash, elements.getUint32(at + 4, LITTLE_ENDIAN));
  }
  const view = memory.view(table);
  const start = place.descriptorAddress - memory.start(table);
  for (const head of taken.list(2 * EVIDENCE)) {
    const at = start + head * DESCRIPTOR.size;
    for (let i = 0; i < DESCRIPTOR.size; i += 4) {
      hash = mix(hash, view.getUint32(at + i, LITTLE_ENDIAN));
    }
  }
  return hash >>> 0;
}

function mix(hash: number, word: number): number {
  return Math.imul(hash ^ word, HASH_PRIME);
}

/**
 * Compares a ring with the log of one: "same" if its driver never noticed that
 * it was not served, "unknown" if the log knows nothing of any driver. The
 * frontend alone cannot say: it may hand the log over although its guest was
 * restarted.
 */
export function compareWithLog(
  memory: GuestMemory,
  place: RingAddress,
  size: number,
  log: LogSummary,
): RingIdentity {
  const wasUsed = log.usedIndex !== 0 || log.hasGivenBack;
  if (isUsedRingBlank(memory, place, size)) {
    if (wasUsed) return "other";
    if (log.taken.count === 0) return "unknown";
  }
  // A process that was killed had published a batch at most that the log does
  // not show, and what is in flight is what the driver is still waiting for.
  const usedIndex = readUsedIndex(memory, place);
  const unlogged = (usedIndex - log.usedIndex) & MAX_RING_INDEX;
  const awaited = (readAvailIndex(memory, place) - usedIndex) & MAX_RING_INDEX;
  return unlogged <= size && awaited <= size &&
      log.taken.count - unlogged <= awaited
    ? "same"
    : "other";
}
