/**
 * The event queue as the driver fills it: a buffer for each unmasked interrupt.
 *
 * A buffer comes back at once, as INVALID, for a line that does not exist or has
 * one already. For a line whose interrupt is not enabled it is held: Linux
 * ignores a failed SET_IRQ_TYPE and sends an INVALID buffer again at once, for
 * ever.
 *
 * @module
 */
import { ChainFault } from "../queue/chain_fault.ts";
import type { DescriptorChain } from "../queue/descriptor_chain.ts";
import type { SplitQueue } from "../queue/split_queue.ts";
import type { Pace } from "../device.ts";
import { EventCount, type GpioCounters } from "./counters.ts";
import type { EventBuffers } from "./event_buffers.ts";
import type { GpioLine } from "./line.ts";
import {
  EVENT_QUEUE,
  EventStatus,
  GPIO_IRQ_REQUEST,
  GPIO_IRQ_RESPONSE,
} from "./protocol.ts";
import { chainCost } from "./request_chain.ts";

/** Number of no line: a device has 65535 at most. */
const NO_LINE = 0xffff;

/** Receiver of the buffers that a driver queues. */
export class EventQueue {
  /** Receives a chain that is not a buffer. */
  onRefused: ((fault: ChainFault) => void) | undefined;
  readonly #lines: readonly GpioLine[];
  readonly #buffers: EventBuffers;
  readonly #counters: GpioCounters;

  /** Makes the receiver of buffers for `lines`, which `buffers` holds. */
  constructor(
    lines: readonly GpioLine[],
    buffers: EventBuffers,
    counters: GpioCounters,
  ) {
    this.#lines = lines;
    this.#buffers = buffers;
    this.#counters = counters;
  }

  /** The queue that is served; undefined while there is none. */
  get queue(): SplitQueue | undefined {
    return this.#buffers.queue;
  }

  /**
   * Takes buffers off the queue.
   *
   * @returns What is left of the budget: 0 as well when the time is up.
   */
  take(budget: number, pace: Pace | undefined): number {
    const { queue } = this;
    let left = budget;
    while (left > 0 && queue !== undefined) {
      const chain = queue.pop();
      if (chain === undefined) break;
      const cost = chainCost(chain);
      left -= cost;
      this.#takeBuffer(queue, chain);
      if (pace !== undefined && !pace.take(cost)) return 0;
      if (!queue.hasBuffered || queue !== this.queue) break;
    }
    return left;
  }

  #takeBuffer(queue: SplitQueue, chain: DescriptorChain): void {
    if (
      chain.fault !== ChainFault.None ||
      chain.writableBytes < GPIO_IRQ_RESPONSE.size
    ) {
      this.#counters.countRefusedChain(EVENT_QUEUE);
      this.onRefused?.(chain.fault);
      queue.push(chain.head, 0);
      return;
    }
    const lineNumber = chain.readableBytes < GPIO_IRQ_REQUEST.size
      ? NO_LINE
      : chain.readUint16(GPIO_IRQ_REQUEST.at.gpio);
    const line = this.#lines[lineNumber];
    if (line === undefined || this.#buffers.isHeld(lineNumber)) {
      if (line !== undefined) {
        this.#counters.countEvent(lineNumber, EventCount.Returned);
      }
      chain.writeUint8(GPIO_IRQ_RESPONSE.at.status, EventStatus.Invalid);
      queue.push(chain.head, GPIO_IRQ_RESPONSE.size);
      return;
    }
    this.#buffers.hold(
      lineNumber,
      chain.head,
      chain.writableAddress(GPIO_IRQ_RESPONSE.at.status),
    );
    line.unmasked();
  }
}
