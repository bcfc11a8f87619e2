/**
 * A guest with a virtio-gpio driver: its memory, its two rings, and the device
 * under test on the other side. It speaks in the numbers of the specification,
 * written out, so that a wrong constant in the device shows.
 *
 * @module
 */
import {
  GpioDevice,
  type GpioDeviceOptions,
} from "../../src/virtio/gpio/device.ts";
import { GuestMemory } from "../../src/virtio/queue/guest_memory.ts";
import type { LinePort } from "../../src/line/port.ts";
import {
  SplitQueue,
  type SplitQueueOptions,
} from "../../src/virtio/queue/split_queue.ts";
import { type DriverBuffer, RingDriver } from "./ring_driver.ts";

/** Feature bits, by the specification's numbers. */
export const F_IRQ = 1n << 0n;
export const F_INDIRECT = 1n << 28n;
export const F_EVENT_IDX = 1n << 29n;

/** Byte that fills response buffers before the device writes them. */
export const UNTOUCHED = 0xaa;

const MEMORY_BYTES = 2 ** 20;
const GUEST_ADDRESS = 0x4000_0000;
const SLOTS_AT = 2 ** 18;
const SLOT_BYTES = 64;
const SLOTS = 4096;
const RESPONSE_AT = 16;
const TABLE_AT = 32;

/** Answer to a request. */
export interface Response {
  status: number;
  value: number;
  /** The length in the used ring. */
  length: number;
}

/** Answer in an event buffer. */
export interface Interrupt {
  line: number;
  status: number;
  length: number;
}

/** Options of a guest. */
export interface GuestOptions {
  features?: bigint;
  queueSize?: number;
  /** Options of the two queues that the transport would set. */
  queueOptions?: Partial<SplitQueueOptions>;
  /** Options of the device. */
  deviceOptions?: GpioDeviceOptions;
}

/** One guest with one device. */
export class GpioGuest {
  readonly device: GpioDevice;
  readonly features: bigint;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly memory: GuestMemory;
  readonly requests: RingDriver;
  readonly events: RingDriver;
  /** Notifications of the guest, in order: "requests" and "events". */
  readonly notifications: string[] = [];
  readonly queues: [SplitQueue, SplitQueue];
  /** Entries served per call of `processQueue`. */
  budget = 64;
  readonly #buffer = new ArrayBuffer(MEMORY_BYTES);
  readonly #queueOptions: Partial<SplitQueueOptions>;
  readonly #responseAt = new Map<number, number>();
  readonly #eventAt = new Map<number, { line: number; at: number }>();
  #slot = 0;

  constructor(ports: readonly LinePort[], options: GuestOptions = {}) {
    this.features = options.features ?? F_IRQ | F_INDIRECT | F_EVENT_IDX;
    this.#queueOptions = options.queueOptions ?? {};
    this.bytes = new Uint8Array(this.#buffer);
    this.view = new DataView(this.#buffer);
    this.memory = new GuestMemory([{
      guestAddress: GUEST_ADDRESS,
      userAddress: 0x7f00_0000_0000,
      length: MEMORY_BYTES,
      buffer: this.#buffer,
      bufferOffset: 0,
    }]);
    const ring = {
      memory: this.#buffer,
      guestAddress: GUEST_ADDRESS,
      size: options.queueSize ?? 64,
      eventIndex: (this.features & F_EVENT_IDX) !== 0n,
    };
    this.requests = new RingDriver({ ...ring, offset: 0x1000 });
    this.events = new RingDriver({
      ...ring,
      offset: Math.ceil(this.requests.endOffset / 0x1000) * 0x1000,
    });
    this.device = new GpioDevice(ports, options.deviceOptions);
    this.device.setFeatures(this.features);
    this.queues = [this.start(0), this.start(1)];
  }

  /** Starts a queue, or starts it again with what is in flight. */
  start(index: 0 | 1, options: Partial<SplitQueueOptions> = {}): SplitQueue {
    const ring = index === 0 ? this.requests : this.events;
    const queue = SplitQueue.create({
      memory: this.memory,
      size: ring.size,
      descriptorAddress: ring.descriptorAddress,
      availAddress: ring.availAddress,
      usedAddress: ring.usedAddress,
      features: this.features,
      nextAvail: 0,
      notify: () => {
        this.notifications.push(index === 0 ? "requests" : "events");
      },
      ...this.#queueOptions,
      ...options,
    });
    if (typeof queue === "string") throw new Error(queue);
    this.device.startQueue(index, queue);
    if (this.queues !== undefined) this.queues[index] = queue;
    return queue;
  }

  /** Stops a queue as GET_VRING_BASE does. */
  stop(index: 0 | 1): { nextAvail: number; resubmit: number[] } {
    const queue = this.queues[index];
    this.device.stopQueue(index);
    queue.close();
    return { nextAvail: queue.nextAvail, resubmit: queue.inFlightHeads() };
  }

  /** Stops a queue and starts it again, as a pause of the guest does. */
  resume(index: 0 | 1): void {
    this.start(index, this.stop(index));
    this.serve(index);
  }

  /** Serves a queue until nothing remains. */
  serve(index: 0 | 1): void {
    while (this.device.processQueue(index, this.budget));
  }

  /** A fresh piece of guest memory, filled with `UNTOUCHED`. */
  slot(): number {
    const at = SLOTS_AT + (this.#slot++ % SLOTS) * SLOT_BYTES;
    this.bytes.fill(UNTOUCHED, at, at + SLOT_BYTES);
    return at;
  }

  /** Guest-physical address of an offset into the guest's memory. */
  address(offset: number): number {
    return GUEST_ADDRESS + offset;
  }

  /** Writes a request message at an offset. */
  writeRequest(at: number, type: number, line: number, value: number): void {
    this.view.setUint16(at, type, true);
    this.view.setUint16(at + 2, line, true);
    this.view.setUint32(at + 4, value, true);
  }

  /** Adds and shows a request without serving it; returns its head. */
  send(type: number, line: number, value = 0, responseBytes = 2): number {
    const at = this.slot();
    this.writeRequest(at, type, line, value);
    const buffers = [
      { address: this.address(at), length: 8, writable: false },
      {
        address: this.address(at + RESPONSE_AT),
        length: responseBytes,
        writable: true,
      },
    ];
    const head = (this.features & F_INDIRECT) !== 0n
      ? this.requests.addIndirect(buffers, this.address(at + TABLE_AT))
      : this.requests.add(buffers);
    this.#responseAt.set(head, at + RESPONSE_AT);
    this.requests.publish();
    return head;
  }

  /** Takes the responses that came back, with their heads, in order. */
  responses(): (Response & { head: number })[] {
    return this.requests.collect().map(({ head, length }) => {
      const at = this.#responseAt.get(head) ?? 0;
      return {
        head,
        status: this.bytes[at]!,
        value: this.bytes[at + 1]!,
        length,
      };
    });
  }

  /** Sends one request, serves the queue, and takes the one response. */
  request(type: number, line: number, value = 0): Response {
    const head = this.send(type, line, value);
    this.serve(0);
    const all = this.responses();
    if (all.length !== 1 || all[0]!.head !== head) {
      throw new Error(`expected one response, got ${JSON.stringify(all)}`);
    }
    const { status, value: answer, length } = all[0]!;
    return { status, value: answer, length };
  }

  /** Adds and shows a line's event buffer without serving it. */
  queueEvent(line: number): number {
    const at = this.slot();
    this.view.setUint16(at, line, true);
    const head = this.events.add([
      { address: this.address(at), length: 2, writable: false },
      { address: this.address(at + RESPONSE_AT), length: 1, writable: true },
    ]);
    this.#eventAt.set(head, { line, at: at + RESPONSE_AT });
    this.events.publish();
    return head;
  }

  /** Unmasks a line: gives the device its event buffer. */
  unmask(line: number): void {
    this.queueEvent(line);
    this.serve(1);
  }

  /** Takes the event buffers that came back, in order. */
  interrupts(): Interrupt[] {
    return this.events.collect().map(({ head, length }) => {
      const { line, at } = this.#eventAt.get(head) ?? { line: -1, at: 0 };
      return { line, status: this.bytes[at]!, length };
    });
  }

  /** Sends a chain of arbitrary buffers and serves the queue. */
  sendBuffers(index: 0 | 1, buffers: readonly DriverBuffer[]): number {
    const ring = index === 0 ? this.requests : this.events;
    const head = ring.add(buffers);
    ring.publish();
    this.serve(index);
    return head;
  }
}
