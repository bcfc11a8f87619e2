/**
 * The driver's event queue: buffers that wait for interrupts.
 *
 * @module
 */
import { VIRTIO_F_INDIRECT_DESC_MASK } from "../virtio/queue/features.ts";
import { EVENT_QUEUE, EventStatus } from "../virtio/gpio/protocol.ts";
import {
  DESCRIPTOR_BYTES,
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  type DriverRing,
} from "./driver_ring.ts";
import { RuleViolation } from "./errors.ts";
import type { Frontend } from "./frontend.ts";
import { POISON } from "./request_queue.ts";

const SLOT_BYTES = 64;
const REQUEST_AT = 0;
const RESPONSE_AT = 16;
const TABLE_AT = 32;
const REQUEST_BYTES = 2;
const RESPONSE_BYTES = 1;

/** A buffer that came back. */
export interface GpioEvent {
  /** The line that the buffer was for. */
  readonly lineNumber: number;
  /**
   * Valid for the line's interrupt, invalid for a buffer that was merely given
   * back.
   */
  readonly status: EventStatus;
}

/** The event queue. */
export class EventQueue {
  /** Buffers that can wait at the same time. */
  readonly capacity: number;

  readonly #frontend: Frontend;
  readonly #ring: DriverRing;
  readonly #indirect: boolean;
  readonly #base: number;
  readonly #halves: Uint16Array;
  readonly #bytes: Uint8Array;
  readonly #busy: Uint8Array;
  readonly #line: Uint16Array;
  /** Buffers that wait, by line number. */
  readonly #armed = new Map<number, number>();
  readonly #free: number[] = [];
  readonly #events: GpioEvent[] = [];

  constructor(frontend: Frontend) {
    this.#frontend = frontend;
    const ring = this.#ring = frontend.rings[EVENT_QUEUE]!;
    this.#indirect = frontend.has(VIRTIO_F_INDIRECT_DESC_MASK);
    this.capacity = this.#indirect ? ring.size : ring.size >> 1;
    const length = this.capacity * SLOT_BYTES;
    this.#base = frontend.memory.allocate(length, SLOT_BYTES);
    const { buffer, offset } = frontend.memory.span(this.#base, length);
    this.#halves = new Uint16Array(buffer, offset, length / 2);
    this.#bytes = new Uint8Array(buffer, offset, length);
    this.#busy = new Uint8Array(this.capacity);
    this.#line = new Uint16Array(this.capacity);
    for (let slot = 0; slot < this.capacity; slot++) this.#describe(slot);
    this.reset();
  }

  /** Buffers that wait for an interrupt of `lineNumber`. */
  armed(lineNumber: number): number {
    return this.#armed.get(lineNumber) ?? 0;
  }

  /**
   * Queues a buffer for a line's next interrupt.
   *
   * @throws {RangeError} If the queue is full.
   */
  arm(lineNumber: number): void {
    const slot = this.#free.pop();
    if (slot === undefined) {
      throw new RangeError(
        `Cannot arm line ${lineNumber}: all ${this.capacity} entries of the ` +
          "event queue are under way",
      );
    }
    this.#halves[(slot * SLOT_BYTES + REQUEST_AT) / 2] = lineNumber;
    this.#bytes[slot * SLOT_BYTES + RESPONSE_AT] = POISON;
    this.#busy[slot] = 1;
    this.#line[slot] = lineNumber;
    this.#armed.set(lineNumber, this.armed(lineNumber) + 1);
    this.#ring.makeAvailable(this.#indirect ? slot : slot << 1);
    if (this.#ring.publish()) this.#frontend.kick(EVENT_QUEUE);
  }

  /**
   * Takes all buffers that are back, without waiting.
   *
   * @throws {RuleViolation} If one of them breaks a rule.
   */
  reap(): void {
    const ring = this.#ring;
    for (let count = ring.usedCount(); count > 0; count--) {
      ring.takeUsed();
      const head = ring.usedHead;
      const slot = this.#indirect ? head : head >> 1;
      if (
        slot >= this.capacity || this.#busy[slot] === 0 ||
        (!this.#indirect && (head & 1) !== 0)
      ) {
        throw new RuleViolation(
          "virtio 2.7.8: a used element names a chain that is under way",
          `head ${head} on the event queue`,
        );
      }
      const lineNumber = this.#line[slot]!;
      const status = this.#bytes[slot * SLOT_BYTES + RESPONSE_AT]!;
      this.#busy[slot] = 0;
      this.#free.push(slot);
      this.#armed.set(lineNumber, this.armed(lineNumber) - 1);
      if (ring.usedLength !== RESPONSE_BYTES) {
        throw new RuleViolation(
          `the used length of an event buffer is ${RESPONSE_BYTES}`,
          `${ring.usedLength} for line ${lineNumber}`,
        );
      }
      if (status !== EventStatus.Invalid && status !== EventStatus.Valid) {
        throw new RuleViolation(
          "the status of an event buffer is INVALID (0) or VALID (1)",
          status === POISON
            ? `none was written for line ${lineNumber}`
            : `${status} for line ${lineNumber}`,
        );
      }
      this.#events.push({ lineNumber, status });
    }
  }

  /** The oldest buffer that is back and was not asked for yet. */
  take(): GpioEvent | undefined {
    return this.#events.shift();
  }

  /**
   * The oldest buffer that is back; sleeps until there is one.
   *
   * **Blocking**: for `timeoutMs` at most.
   *
   * @returns Nothing when the time was up.
   */
  wait(timeoutMs: number): GpioEvent | undefined {
    if (this.#events.length === 0) {
      if (this.#frontend.waitUsed(EVENT_QUEUE, timeoutMs) > 0) this.reap();
    }
    return this.take();
  }

  /** Forgets what is under way, after the ring was emptied. */
  reset(): void {
    this.#busy.fill(0);
    this.#armed.clear();
    this.#events.length = this.#free.length = 0;
    for (let slot = this.capacity - 1; slot >= 0; slot--) this.#free.push(slot);
    this.#ring.enableCalls();
  }

  #describe(slot: number): void {
    const ring = this.#ring;
    const at = this.#base + slot * SLOT_BYTES;
    const request = at + REQUEST_AT;
    const response = at + RESPONSE_AT;
    if (this.#indirect) {
      const table = at + TABLE_AT;
      ring.writeIndirect(table, 0, request, REQUEST_BYTES, DESCRIPTOR_NEXT, 1);
      ring.writeIndirect(table, 1, response, RESPONSE_BYTES, DESCRIPTOR_WRITE);
      ring.writeDescriptor(
        slot,
        table,
        2 * DESCRIPTOR_BYTES,
        DESCRIPTOR_INDIRECT,
      );
      return;
    }
    const head = slot << 1;
    ring.writeDescriptor(
      head,
      request,
      REQUEST_BYTES,
      DESCRIPTOR_NEXT,
      head + 1,
    );
    ring.writeDescriptor(head + 1, response, RESPONSE_BYTES, DESCRIPTOR_WRITE);
  }
}
