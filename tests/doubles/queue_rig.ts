/**
 * A split virtqueue in a memory of its own, with the driver of its ring.
 *
 * @module
 */
import { RingDriver } from "./ring_driver.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
} from "../../src/virtio/queue/features.ts";
import { GuestMemory } from "../../src/virtio/queue/guest_memory.ts";
import {
  SplitQueue,
  type SplitQueueOptions,
} from "../../src/virtio/queue/split_queue.ts";

/** Address of the memory. */
export const BASE = 0x10000;
/** Its size. **Units**: bytes. */
export const BYTES = 0x4000;
/** A buffer behind the ring. */
export const BUFFER = { address: BASE + 0x2000, length: 8, writable: true };

/** Returns what was made, or fails the test. */
export function made<T extends object>(result: T | string): T {
  if (typeof result === "string") throw new Error(result);
  return result;
}

interface Rig {
  ring: RingDriver;
  queue: SplitQueue;
  notified: () => number;
  faults: string[];
  buffer: ArrayBuffer;
  options: SplitQueueOptions;
}

/** Makes a queue, and the driver of its ring. */
export function queueRig(
  options: {
    size?: number;
    eventIndex?: boolean;
    firstIndex?: number;
    more?: Partial<SplitQueueOptions>;
  } = {},
): Rig {
  const buffer = new ArrayBuffer(BYTES);
  const eventIndex = options.eventIndex ?? true;
  const firstIndex = options.firstIndex ?? 0;
  const ring = new RingDriver({
    memory: buffer,
    guestAddress: BASE,
    offset: 0,
    size: options.size ?? 8,
    eventIndex,
    firstIndex,
  });
  const memory = new GuestMemory([{
    guestAddress: BASE,
    userAddress: 0,
    length: BYTES,
    buffer,
    bufferOffset: 0,
  }]);
  let count = 0;
  const faults: string[] = [];
  const queueOptions: SplitQueueOptions = {
    memory,
    size: ring.size,
    descriptorAddress: ring.descriptorAddress,
    availAddress: ring.availAddress,
    usedAddress: ring.usedAddress,
    features: VIRTIO_F_INDIRECT_DESC_MASK |
      (eventIndex ? VIRTIO_F_EVENT_IDX_MASK : 0n),
    nextAvail: firstIndex,
    notify: () => {
      count++;
    },
    onFault: (fault) => faults.push(fault),
    ...options.more,
  };
  const queue = made(SplitQueue.create(queueOptions));
  return {
    ring,
    queue,
    notified: () => count,
    faults,
    buffer,
    options: queueOptions,
  };
}

/** Makes heads available. */
export function show(ring: RingDriver, count: number): number[] {
  const heads: number[] = [];
  for (let i = 0; i < count; i++) heads.push(ring.add([BUFFER]));
  ring.publish();
  return heads;
}

/** Takes all heads that are there. */
export function popAll(queue: SplitQueue): number[] {
  const heads: number[] = [];
  for (;;) {
    const chain = queue.pop();
    if (chain === undefined) return heads;
    heads.push(chain.head);
  }
}
