/**
 * The memory and the rings that the ring fuzzer works on.
 *
 * @module
 */
import { GuestMemory } from "../../src/virtio/queue/guest_memory.ts";
import type { SplitQueue } from "../../src/virtio/queue/split_queue.ts";
import type { RingDriver } from "../doubles/ring_driver.ts";

/** Lines of the device. */
export const LINES = 4;
/** Size of the memory; the 0x2000 bytes behind the regions are the host's. */
export const MEMORY_BYTES = 0xc000;
/** Guest address, offset and length of the regions; the first two are adjacent. */
export const REGIONS = [
  [0x10000, 0, 0x6000],
  [0x16000, 0x6000, 0x2000],
  [0x2_0000_0000, 0x8000, 0x2000],
] as const;
/** The same with the first two as the one stretch that they are. */
export const STRETCHES = [[0x10000, 0, 0x8000], REGIONS[2]] as const;
/** First offset behind the regions. */
export const REGIONS_END = 0xa000;

/** One ring as the checks see it. */
export interface RingState {
  index: 0 | 1;
  driver: RingDriver;
  queue: SplitQueue;
  /** Memory of the in-flight log, if there is one. */
  log: ArrayBuffer | undefined;
  /** Counts of how often each head was taken, and came back. */
  taken: Int32Array;
  returned: Int32Array;
  nextAvail: number;
  nextUsed: number;
  /** The guest wrote where only the device may: counts mean nothing any more. */
  isTainted: boolean;
}

/** A guest's memory with the three regions. */
export class FuzzMemory {
  readonly buffer = new ArrayBuffer(MEMORY_BYTES);
  readonly bytes = new Uint8Array(this.buffer);
  readonly view = new DataView(this.buffer);
  readonly guest = new GuestMemory(REGIONS.map(([at, offset, length]) => ({
    guestAddress: at,
    userAddress: at,
    length,
    buffer: this.buffer,
    bufferOffset: offset,
  })));

  /** Guest-physical address of an offset. */
  address(offset: number): number {
    const [at, from] = STRETCHES.find(([, from, length]) =>
      offset >= from && offset < from + length
    )!;
    return at + offset - from;
  }
}

/** Returns true if a part has any of `count` bytes at an offset. */
export function overlaps(
  part: { offset: number; length: number },
  at: number,
  count: number,
): boolean {
  return at < part.offset + part.length && at + count > part.offset;
}
