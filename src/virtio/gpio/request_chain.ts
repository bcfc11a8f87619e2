/**
 * Requests as chains of descriptors: what one costs of a budget, and its
 * response.
 *
 * @module
 */
import type { DescriptorChain } from "../queue/descriptor_chain.ts";
import type { SplitQueue } from "../queue/split_queue.ts";
import { GPIO_RESPONSE, Status } from "./protocol.ts";

/** Descriptors that cost as much as one plain request. */
const DESCRIPTORS_PER_UNIT_SHIFT = 4;

/** Returns the part of a budget that a chain takes. */
export function costOf(chain: DescriptorChain): number {
  return 1 + (chain.descriptorCount >>> DESCRIPTORS_PER_UNIT_SHIFT);
}

/** Writes both bytes of the response at once; `result` is a value or FAILED. */
export function answer(
  queue: SplitQueue,
  chain: DescriptorChain,
  result: number,
): void {
  chain.writeUint16(
    GPIO_RESPONSE.at.status,
    result < 0 ? Status.Err : Status.Ok | result << 8,
  );
  queue.push(chain.head, GPIO_RESPONSE.size);
}
