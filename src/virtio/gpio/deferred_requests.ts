/**
 * Requests that are not answered yet: the one a line's port works on, and those
 * to the same line that wait behind it in the order they came.
 *
 * Everything is indexed by the head of the request's chain, of which there are
 * as many as the queue is large, so nothing is allocated per request. The lists
 * are the lines' own; this table only links their elements.
 *
 * @module
 */
import type { DescriptorChain } from "../queue/descriptor_chain.ts";
import { GPIO_RESPONSE, type Status } from "./protocol.ts";
import type { SplitQueue } from "../queue/split_queue.ts";

/** The end of a list of heads. */
export const NO_HEAD = -1;

/** A line's list of waiting requests; the links are in the table. */
interface WaitingList {
  /** Head of the oldest waiting request, or `NO_HEAD`. */
  firstWaiting: number;
  /** Head of the newest waiting request, or `NO_HEAD`. */
  lastWaiting: number;
}

/** The unanswered requests of one run of a request queue. */
export class DeferredRequests {
  /** By head, when a kept request arrived: for the code that asks for that. */
  readonly arrivals: Float64Array;
  readonly #queue: SplitQueue;
  readonly #types: Uint16Array;
  readonly #values: Uint32Array;
  readonly #next: Int32Array;
  readonly #statusAddresses: Float64Array;
  readonly #valueAddresses: Float64Array;

  /** Makes room for as many requests as the queue has heads. */
  constructor(queue: SplitQueue) {
    this.#queue = queue;
    this.#types = new Uint16Array(queue.size);
    this.#values = new Uint32Array(queue.size);
    this.#next = new Int32Array(queue.size);
    this.arrivals = new Float64Array(queue.size);
    this.#statusAddresses = new Float64Array(queue.size);
    this.#valueAddresses = new Float64Array(queue.size);
  }

  /** Keeps a checked request: what it asks for, and where its answer goes. */
  keep(chain: DescriptorChain, type: number, value: number): void {
    const head = chain.head;
    this.#types[head] = type;
    this.#values[head] = value;
    this.#statusAddresses[head] = chain.writableAddress(
      GPIO_RESPONSE.at.status,
    );
    this.#valueAddresses[head] = chain.writableAddress(GPIO_RESPONSE.at.value);
  }

  /** Puts a kept request at the end of a line's list. */
  append(list: WaitingList, head: number): void {
    this.#next[head] = NO_HEAD;
    if (list.lastWaiting === NO_HEAD) list.firstWaiting = head;
    else this.#next[list.lastWaiting] = head;
    list.lastWaiting = head;
  }

  /** Takes the oldest request off a line's list, which is not empty. */
  shift(list: WaitingList): number {
    const head = list.firstWaiting;
    list.firstWaiting = this.#next[head]!;
    if (list.firstWaiting === NO_HEAD) list.lastWaiting = NO_HEAD;
    return head;
  }

  /** The message type of a kept request. */
  requestType(head: number): number {
    return this.#types[head]!;
  }

  /** The value of a kept request. */
  requestValue(head: number): number {
    return this.#values[head]!;
  }

  /**
   * Answers a kept request; the driver sees it after the queue's next flush.
   */
  answer(head: number, status: Status, value: number): void {
    const { memory } = this.#queue;
    memory.writeUint8(this.#statusAddresses[head]!, status);
    memory.writeUint8(this.#valueAddresses[head]!, value);
    this.#queue.push(head, GPIO_RESPONSE.size);
  }
}
