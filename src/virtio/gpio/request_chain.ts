/**
 * Requests as chains of descriptors: what one costs of a budget, and its
 * response.
 *
 * @module
 */
import type { DescriptorChain } from "../queue/descriptor_chain.ts";
import type { SplitQueue } from "../queue/split_queue.ts";
import { FAILED } from "../../line/port.ts";
import { GPIO_RESPONSE, Status } from "./protocol.ts";

/** Descriptors or parts that cost as much as one plain request. */
const STEPS_PER_UNIT_SHIFT = 4;

/** Returns the part of a budget that a chain takes. */
export function chainCost(chain: DescriptorChain): number {
  return 1 + (chain.stepCount >>> STEPS_PER_UNIT_SHIFT);
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

/**
 * Answers GET_LINE_NAMES with the names block. Without room for all of it the
 * status is ERR, since part of a block would be taken for all.
 *
 * @returns True if there was room.
 */
export function answerNames(
  queue: SplitQueue,
  chain: DescriptorChain,
  names: Uint8Array,
): boolean {
  const length = 1 + names.length;
  if (chain.writableBytes < length) {
    answer(queue, chain, FAILED);
    return false;
  }
  chain.writeUint8(0, Status.Ok);
  chain.writeBytes(1, names);
  queue.push(chain.head, length);
  return true;
}
