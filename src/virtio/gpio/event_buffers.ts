/**
 * The event queue's buffers: at most one per line is held, until the line
 * interrupts or the driver switches its interrupt off.
 *
 * A held buffer is what "unmasked" means in virtio-gpio, and having none means
 * "masked".
 *
 * @module
 */
import { type EventStatus, GPIO_IRQ_RESPONSE } from "./protocol.ts";
import type { SplitQueue } from "../queue/split_queue.ts";

const NO_HEAD = -1;

/** The buffers that wait for the interrupts of one device's lines. */
export class EventBuffers {
  readonly #heads: Int32Array;
  // Guest-physical address of each held buffer's status byte.
  readonly #addresses: Float64Array;
  #queue: SplitQueue | undefined;

  /** Makes room for one buffer per line; there is no queue yet. */
  constructor(lineCount: number) {
    this.#heads = new Int32Array(lineCount).fill(NO_HEAD);
    this.#addresses = new Float64Array(lineCount);
  }

  /** The queue that buffers come from; undefined while there is none. */
  get queue(): SplitQueue | undefined {
    return this.#queue;
  }

  /** Buffers come from and go back to this queue from now on. */
  start(queue: SplitQueue): void {
    this.stop();
    this.#queue = queue;
  }

  /** Forgets queue and buffers; neither is touched again. */
  stop(): void {
    this.#heads.fill(NO_HEAD);
    this.#queue = undefined;
  }

  /** Returns true if a line's buffer is held: its interrupt is unmasked. */
  isHeld(lineNumber: number): boolean {
    return this.#heads[lineNumber]! !== NO_HEAD;
  }

  /** Holds a line's buffer; there must be none yet. */
  hold(lineNumber: number, head: number, statusAddress: number): void {
    this.#heads[lineNumber] = head;
    this.#addresses[lineNumber] = statusAddress;
  }

  /**
   * Returns a line's buffer; the driver sees it after the next `flush`.
   *
   * @returns False when none is held, or its queue stands still.
   */
  returnBuffer(lineNumber: number, status: EventStatus): boolean {
    const head = this.#heads[lineNumber]!;
    const queue = this.#queue;
    if (
      head === NO_HEAD || queue === undefined || queue.fault !== undefined
    ) return false;
    this.#heads[lineNumber] = NO_HEAD;
    queue.memory.writeUint8(this.#addresses[lineNumber]!, status);
    queue.push(head, GPIO_IRQ_RESPONSE.size);
    return true;
  }

  /** Publishes what was given back; the driver is notified by `flush`. */
  publish(): void {
    if (this.#queue !== undefined) this.#queue.publish();
  }

  /** Publishes what was given back, and notifies the driver. */
  flush(): void {
    if (this.#queue !== undefined) this.#queue.flush();
  }
}
