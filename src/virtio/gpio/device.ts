/**
 * The virtio-gpio device: requests and interrupts of a set of lines.
 *
 * What becomes of a request that is not as it should be:
 * * unknown type, no such line, value out of range, interrupt request without
 *   VIRTIO_GPIO_F_IRQ: status ERR, both bytes of the response set, length 2;
 * * too few readable bytes: the same (more than 8 are accepted, the rest ignored);
 * * room for one byte of response only: nothing is done, status ERR, length 1;
 * * room for none, or a malformed chain: nothing is done, length 0, counted;
 * * GET_LINE_NAMES without room for the whole block: an ordinary response with
 *   status ERR, length 2 (or 1), since part of a block would be taken for all.
 *
 * **Source**: virtio 1.3, section 5.18 "GPIO Device".
 *
 * @module
 */
import { DeferredRequests, NO_HEAD } from "./deferred_requests.ts";
import { ChainFault } from "../queue/chain_fault.ts";
import type { DescriptorChain } from "../queue/descriptor_chain.ts";
import type { Pace, VirtioDevice } from "../device.ts";
import { EventBuffers } from "./event_buffers.ts";
import { EventQueue } from "./event_queue.ts";
import { VIRTIO_GPIO_F_IRQ_MASK } from "../queue/features.ts";
import { GpioCounters } from "./counters.ts";
import { GpioLine } from "./line.ts";
import {
  encodeConfig,
  EVENT_QUEUE,
  GPIO_REQUEST,
  GPIO_RESPONSE,
  MessageType,
  REQUEST_QUEUE,
  Status,
} from "./protocol.ts";
import { GuestState, NO_STATE } from "./guest_state.ts";
import { encodeLineNames } from "./line_names.ts";
import {
  FAILED,
  type LineListener,
  type LinePort,
  PENDING,
} from "../../line/port.ts";
import { answer, answerNames, chainCost } from "./request_chain.ts";
import type { RequestTimes } from "./request_times.ts";
import type { SplitQueue } from "../queue/split_queue.ts";

const MAX_LINES = 0xffff;
/** Bytes of names that cost as much as one plain request. */
const NAME_BYTES_PER_UNIT_SHIFT = 10;

/** Event buffers that a request which may switch interrupts off waits for. */
const EVENT_BUDGET = 256;

/**
 * Requests of one line that are served after a completion, where the transport
 * takes the rest in later turns. Those of a busy line are as many as the ring
 * has entries.
 */
const WAITING_BUDGET = 32;

/** Options of a {@linkcode GpioDevice}. */
export interface GpioDeviceOptions {
  /** Offers VIRTIO_GPIO_F_IRQ; default true. */
  readonly interrupts?: boolean;
  /** Receives the time that requests took; absent: it is not measured. */
  readonly times?: RequestTimes;
}

/** A virtio-gpio device made of line ports. */
export class GpioDevice implements VirtioDevice, LineListener {
  readonly deviceFeatures: bigint;
  readonly queueCount: number;
  readonly configSpace: Uint8Array;
  readonly stateBytes: number;
  readonly identity: string;
  /** Counters of what guests caused so far. */
  readonly counters: GpioCounters;
  onRefusedChain: ((index: number, fault: ChainFault) => void) | undefined;
  onMore: ((index: number) => void) | undefined;

  readonly #lines: readonly GpioLine[];
  readonly #names: Uint8Array;
  readonly #buffers: EventBuffers;
  readonly #state: GuestState;
  readonly #times: RequestTimes | undefined;
  #hasInterrupts = false;
  #requests: SplitQueue | undefined;
  readonly #events: EventQueue;
  /** Made when the first request of a queue's run is kept. */
  #deferred: DeferredRequests | undefined;
  /** Idle lines with requests that wait for a later turn. */
  readonly #resuming: GpioLine[] = [];
  // How deep in calls that publish at their end; edges may come inside any.
  #depth = 0;
  #isServingRequests = false;
  #isServingEvents = false;

  /**
   * Makes the device and attaches it to its ports; line n is `ports[n]`.
   *
   * @throws {RangeError} If there are no lines or more than 65535, or a name is
   * not 7-bit or comes twice.
   */
  constructor(ports: readonly LinePort[], options: GpioDeviceOptions = {}) {
    if (ports.length < 1 || ports.length > MAX_LINES) {
      throw new RangeError(
        `Cannot make a GPIO device of ${ports.length} lines: ` +
          `drivers take 1 to ${MAX_LINES}`,
      );
    }
    const offersIrq = options.interrupts ?? true;
    this.deviceFeatures = offersIrq ? VIRTIO_GPIO_F_IRQ_MASK : 0n;
    this.queueCount = offersIrq ? 2 : 1;
    this.#names = encodeLineNames(ports.map((port) => port.name));
    this.configSpace = encodeConfig(ports.length, this.#names.length);
    this.counters = new GpioCounters(ports.length);
    this.#times = options.times;
    this.#buffers = new EventBuffers(ports.length);
    const state = this.#state = new GuestState(ports.length, this.#names);
    this.stateBytes = state.byteLength;
    this.identity = state.identity;
    this.#lines = ports.map((port, lineNumber) =>
      new GpioLine(lineNumber, port, this.#buffers, this.counters, state)
    );
    this.#events = new EventQueue(this.#lines, this.#buffers, this.counters);
    this.#events.onRefused = (fault) =>
      this.onRefusedChain?.(EVENT_QUEUE, fault);
    for (const [lineNumber, port] of ports.entries()) {
      port.attach(this, lineNumber);
    }
  }

  setFeatures(features: bigint): void {
    this.#hasInterrupts =
      (features & this.deviceFeatures & VIRTIO_GPIO_F_IRQ_MASK) !== 0n;
  }

  answersInOrder(index: number): boolean {
    return index === REQUEST_QUEUE;
  }

  startQueue(index: number, queue: SplitQueue): void {
    this.stopQueue(index);
    if (index === REQUEST_QUEUE) {
      this.#requests = queue;
    } else if (index === EVENT_QUEUE) {
      this.#buffers.start(queue);
    }
  }

  stopQueue(index: number): void {
    if (index === REQUEST_QUEUE) {
      this.#requests?.flush();
      this.#requests = undefined;
      if (this.#deferred === undefined) return;
      this.#deferred = undefined;
      this.#resuming.length = 0;
      for (const line of this.#lines) line.forgetRequests();
    } else if (index === EVENT_QUEUE) {
      this.#buffers.flush();
      this.#buffers.stop();
    }
  }

  processQueue(index: number, budget: number, pace?: Pace): boolean {
    if (index === REQUEST_QUEUE) return this.#processRequests(budget, pace);
    if (index === EVENT_QUEUE) return this.#processEvents(budget, pace);
    return false;
  }

  keepState(memory: Uint8Array | undefined, isSameGuest: boolean): void {
    const state = this.#state;
    state.use(memory);
    if (memory === undefined) return;
    if (!isSameGuest || !state.isWritten) {
      state.clear();
      for (const line of this.#lines) line.save();
      return;
    }
    this.#depth++;
    try {
      for (const line of this.#lines) {
        const word = state.load(line.lineNumber, this.#hasInterrupts);
        if (word === NO_STATE) line.save();
        else line.restore(word);
      }
    } finally {
      this.#leave();
    }
  }

  reset(): void {
    this.#depth++;
    try {
      for (const line of this.#lines) line.reset();
    } finally {
      this.#leave();
    }
    this.#hasInterrupts = false;
  }

  completed(lineNumber: number, result: number): void {
    const line = this.#lines[lineNumber];
    if (line === undefined || !line.isBusy) {
      this.counters.countStrayCompletion();
      return;
    }
    this.#depth++;
    try {
      const outcome = line.complete(result);
      if (outcome !== PENDING) this.#continue(line, outcome);
    } finally {
      this.#leave();
    }
  }

  edge(lineNumber: number, level: number): void {
    const line = this.#lines[lineNumber];
    if (line === undefined) return;
    this.#depth++;
    try {
      line.edge(level);
    } finally {
      this.#leave();
    }
  }

  restored(lineNumber: number): void {
    const line = this.#lines[lineNumber];
    if (line === undefined) return;
    this.#depth++;
    try {
      line.restored();
    } finally {
      this.#leave();
    }
  }

  /**
   * Ends a call that may have pushed to either queue: the outermost publishes.
   * Answers go first, so that an interrupt is not seen before the answer to
   * whatever caused it; where the buffer must be first, it was flushed already.
   * Both are published before either is notified of, which takes long: a process
   * that is killed meanwhile leaves no answer without the edge that it led to.
   */
  #leave(): void {
    if (--this.#depth !== 0) return;
    const requests = this.#requests;
    if (requests !== undefined) requests.publish();
    this.#buffers.publish();
    if (requests !== undefined) requests.flush();
    this.#buffers.flush();
    if (this.#times !== undefined) {
      this.#times.published(!this.#isServingRequests);
    }
  }

  #processRequests(budget: number, pace: Pace | undefined): boolean {
    const queue = this.#requests;
    // A call from inside another one finds its entries served by that one.
    if (queue === undefined || this.#isServingRequests) return false;
    this.#isServingRequests = true;
    if (this.#times !== undefined) this.#times.begin();
    let left = budget;
    let hasMore: boolean;
    try {
      do {
        this.#depth++;
        try {
          if (this.#resuming.length > 0) left = this.#resume(left, pace);
          if (left > 0) left = this.#takeRequests(queue, left, pace);
        } finally {
          this.#leave();
        }
        // The queue may have been stopped by what a request led to.
        hasMore = queue === this.#requests &&
          (queue.hasBuffered || this.#resuming.length > 0 || queue.rearm());
      } while (hasMore && left > 0);
    } finally {
      this.#isServingRequests = false;
      if (this.#times !== undefined && this.#depth === 0) {
        this.#times.published(true);
      }
    }
    return hasMore;
  }

  /** Returns what is left of the budget: 0 as well when the time is up. */
  #takeRequests(
    queue: SplitQueue,
    budget: number,
    pace: Pace | undefined,
  ): number {
    let left = budget;
    while (left > 0) {
      const chain = queue.pop();
      if (chain === undefined) break;
      const cost = this.#serveRequest(queue, chain);
      left -= cost;
      if (pace !== undefined && !pace.take(cost)) return 0;
      if (!queue.hasBuffered || queue !== this.#requests) break;
    }
    return left;
  }

  /** Serves one request; returns what it cost of the budget. */
  #serveRequest(queue: SplitQueue, chain: DescriptorChain): number {
    const cost = chainCost(chain);
    if (
      chain.fault !== ChainFault.None ||
      chain.readableBytes < GPIO_REQUEST.size ||
      chain.writableBytes < GPIO_RESPONSE.size
    ) {
      this.#serveOddRequest(queue, chain);
      return cost;
    }
    // The request is read once; type and line lie side by side.
    const typeAndLine = chain.readUint32(GPIO_REQUEST.at.type);
    const type = typeAndLine & 0xffff;
    const lineNumber = typeAndLine >>> 16;
    const value = chain.readUint32(GPIO_REQUEST.at.value);
    if (type === MessageType.GetLineNames) {
      this.#answerLineNames(queue, chain);
      return cost + (this.#names.length >>> NAME_BYTES_PER_UNIT_SHIFT);
    }
    if (lineNumber >= this.#lines.length) {
      this.counters.countUnattributed(type, false);
      answer(queue, chain, FAILED);
      return cost;
    }
    const line = this.#lines[lineNumber]!;
    if (type === MessageType.SetIrqType && !this.#hasInterrupts) {
      this.#countAnswer(lineNumber, type, false);
      answer(queue, chain, FAILED);
      return cost;
    }
    // A buffer that the driver queued before this request may still lie in the
    // event ring, its kick under way on another fd. It counts as received:
    // found after a SET_IRQ_TYPE NONE was answered, it would be held for ever.
    if (type === MessageType.SetIrqType || type === MessageType.SetDirection) {
      this.#processEvents(EVENT_BUDGET, undefined);
    }
    if (line.isBusy || line.firstWaiting !== NO_HEAD) {
      this.#keep(chain, type, value);
      this.#deferred!.append(line, chain.head);
      return cost;
    }
    const result = line.execute(type, value);
    if (result === PENDING) {
      this.#keep(chain, type, value);
      line.requestHead = chain.head;
      return cost;
    }
    this.#countAnswer(lineNumber, type, result >= 0);
    answer(queue, chain, result);
    if (line.wantsCheck) line.settle();
    return cost;
  }

  /** Counts what a turn answers itself. */
  #countAnswer(lineNumber: number, type: number, isOk: boolean): void {
    this.counters.countRequest(lineNumber, type, isOk);
    if (this.#times !== undefined) this.#times.answered(lineNumber);
  }

  /** Keeps a request whose answer comes later. */
  #keep(chain: DescriptorChain, type: number, value: number): void {
    if (this.#deferred === undefined) {
      // From here on answers are out of order.
      this.#requests!.beginLog();
      this.#deferred = new DeferredRequests(this.#requests!);
    }
    this.#deferred.keep(chain, type, value);
    if (this.#times !== undefined) {
      this.#times.keepArrival(this.#deferred.arrivals, chain.head);
    }
  }

  /** A request that is malformed, too short, or cannot be answered in full. */
  #serveOddRequest(queue: SplitQueue, chain: DescriptorChain): void {
    if (chain.fault !== ChainFault.None || chain.writableBytes === 0) {
      this.counters.countRefusedChain(REQUEST_QUEUE);
      this.onRefusedChain?.(REQUEST_QUEUE, chain.fault);
      queue.push(chain.head, 0);
      return;
    }
    this.counters.countUnattributed(0, false);
    if (chain.writableBytes >= GPIO_RESPONSE.size) {
      answer(queue, chain, FAILED);
      return;
    }
    chain.writeUint8(GPIO_RESPONSE.at.status, Status.Err);
    queue.push(chain.head, 1);
  }

  #answerLineNames(queue: SplitQueue, chain: DescriptorChain): void {
    const isOk = answerNames(queue, chain, this.#names);
    this.counters.countUnattributed(MessageType.GetLineNames, isOk);
  }

  /** Answers what a completion finished, and goes on with what waited. */
  #continue(line: GpioLine, outcome: number): void {
    const head = line.requestHead;
    if (head !== NO_HEAD) {
      line.requestHead = NO_HEAD;
      this.#answerDeferred(line, head, outcome);
    }
    // Before the next request, so that a flood of them cannot keep it waiting.
    line.settle();
    if (this.#deferred === undefined) return;
    // It may have completed in the midst of that: then the outer call goes on.
    if (this.#resuming.includes(line)) return;
    const budget = this.onMore === undefined ? Infinity : WAITING_BUDGET;
    if (this.#serveWaiting(line, budget, undefined) > 0) return;
    if (line.isBusy || line.firstWaiting === NO_HEAD) return;
    this.#resuming.push(line);
    this.onMore!(REQUEST_QUEUE);
  }

  /**
   * Serves requests that wait for an idle line, until it is busy again.
   *
   * @returns What is left of the budget: 0 as well when the time is up.
   */
  #serveWaiting(
    line: GpioLine,
    budget: number,
    pace: Pace | undefined,
  ): number {
    let left = budget;
    while (!line.isBusy && line.firstWaiting !== NO_HEAD) {
      const deferred = this.#deferred;
      if (deferred === undefined) break;
      const next = deferred.shift(line);
      const result = line.execute(
        deferred.requestType(next),
        deferred.requestValue(next),
      );
      if (result === PENDING) {
        line.requestHead = next;
        break;
      }
      this.#answerDeferred(line, next, result);
      line.settle();
      if (--left === 0 || pace !== undefined && !pace.take(1)) return 0;
    }
    return left;
  }

  /** Goes on with lines whose requests were put off. */
  #resume(budget: number, pace: Pace | undefined): number {
    let left = budget;
    while (left > 0 && this.#resuming.length > 0) {
      const line = this.#resuming[0]!;
      left = this.#serveWaiting(line, left, pace);
      if (line.isBusy || line.firstWaiting === NO_HEAD) this.#resuming.shift();
    }
    return left;
  }

  #answerDeferred(line: GpioLine, head: number, result: number): void {
    const deferred = this.#deferred!;
    const isOk = result >= 0;
    this.counters.countRequest(
      line.lineNumber,
      deferred.requestType(head),
      isOk,
    );
    if (this.#times !== undefined) {
      this.#times.answeredLate(line.lineNumber, deferred.arrivals, head);
    }
    deferred.answer(head, isOk ? Status.Ok : Status.Err, isOk ? result : 0);
  }

  #processEvents(budget: number, pace: Pace | undefined): boolean {
    const events = this.#events;
    const { queue } = events;
    if (queue === undefined || this.#isServingEvents) return false;
    this.#isServingEvents = true;
    let left = budget;
    let hasMore: boolean;
    try {
      do {
        this.#depth++;
        try {
          left = events.take(left, pace);
        } finally {
          this.#leave();
        }
        hasMore = queue === events.queue &&
          (queue.hasBuffered || queue.rearm());
      } while (hasMore && left > 0);
    } finally {
      this.#isServingEvents = false;
    }
    return hasMore;
  }
}
