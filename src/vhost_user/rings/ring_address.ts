/**
 * Addresses of a ring: from the frontend's addresses to the guest's.
 *
 * @module
 */
import { DESCRIPTOR } from "../../virtio/queue/descriptor_chain.ts";
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import {
  AVAIL_HEADER,
  USED_ELEMENT,
  USED_HEADER,
} from "../../virtio/queue/ring_layout.ts";
import { OUTSIDE_MEMORY } from "../memory/advice.ts";
import type { VringAddress } from "../messages/codec.ts";
import type { RingAddress } from "../guest/guest_identity.ts";
import { MAX_VRING_SIZE } from "../messages/protocol.ts";

/**
 * Translates the frontend's addresses, each part of the ring as a range.
 *
 * @returns The place, or which part is wrong.
 */
export function locateRing(
  memory: GuestMemory,
  address: VringAddress,
  size: number,
): RingAddress | string {
  const descriptorAddress = translate(
    memory,
    "descriptor table",
    address.descriptor,
    size * DESCRIPTOR.size,
    16,
  );
  if (typeof descriptorAddress === "string") return descriptorAddress;
  const availAddress = translate(
    memory,
    "available ring",
    address.available,
    AVAIL_HEADER.size + size * 2,
    2,
  );
  if (typeof availAddress === "string") return availAddress;
  const usedAddress = translate(
    memory,
    "used ring",
    address.used,
    USED_HEADER.size + size * USED_ELEMENT.size,
    4,
  );
  if (typeof usedAddress === "string") return usedAddress;
  // Before anything is read there.
  memory.touch(descriptorAddress, size * DESCRIPTOR.size);
  memory.touch(availAddress, AVAIL_HEADER.size + size * 2);
  memory.touch(usedAddress, USED_HEADER.size + size * USED_ELEMENT.size);
  return { descriptorAddress, availAddress, usedAddress };
}

function translate(
  memory: GuestMemory,
  what: string,
  address: number,
  length: number,
  alignment: number,
): number | string {
  const where = `the ${what} at user address 0x${address.toString(16)}`;
  if (address % alignment !== 0) {
    return `${where} is not aligned to ${alignment} bytes`;
  }
  const guest = Number.isSafeInteger(address) &&
      Number.isSafeInteger(address + length)
    ? memory.userToGuest(address, length)
    : undefined;
  return guest ??
    `${where} does not lie in the memory table with all of its ${length} ` +
      `bytes. ${OUTSIDE_MEMORY}`;
}

/** Returns true if a ring may have so many entries: a power of two. */
export function isRingSize(size: number): boolean {
  return size >= 1 && size <= MAX_VRING_SIZE && (size & (size - 1)) === 0;
}

/** Returns true if two addresses of a ring are the same. */
export function isSameAddress(a: VringAddress, b: VringAddress): boolean {
  return a.descriptor === b.descriptor && a.available === b.available &&
    a.used === b.used;
}
