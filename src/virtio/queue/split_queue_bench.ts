/**
 * Cost of one request at the device side: pop, check, submit to a synchronous
 * port, write the answer, push; and its share of publishing the batch. The same
 * for one interrupt: buffer in, edge, buffer out.
 *
 * The driver's part is one store of the available index per batch: descriptors,
 * requests and ring entries stay as they are from batch to batch. `deno bench`
 * shows the time for 1024 requests; run as a program, this prints ns per request.
 *
 * @module
 */
import { RingDriver } from "../../../tests/doubles/ring_driver.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
  VIRTIO_GPIO_F_IRQ_MASK,
} from "./features.ts";
import { GpioDevice } from "../gpio/device.ts";
import {
  EVENT_QUEUE,
  IrqType,
  MessageType,
  REQUEST_QUEUE,
} from "../gpio/protocol.ts";
import { GuestMemory } from "./guest_memory.ts";
import {
  Direction,
  type LineListener,
  LineOperation,
  type LinePort,
} from "../../line/port.ts";
import { RequestTimes } from "../gpio/request_times.ts";
import { SplitQueue } from "./split_queue.ts";

const GIB = 2 ** 30;
const MEMORY_AT = 4 * GIB;
const QUEUE_SIZE = 256;
const LINES = 64;
const REQUESTS = 1024;
const FEATURES = VIRTIO_F_EVENT_IDX_MASK | VIRTIO_F_INDIRECT_DESC_MASK |
  VIRTIO_GPIO_F_IRQ_MASK;

/** The cheapest port there can be. */
class BarePort implements LinePort {
  readonly name = "";
  direction: Direction = Direction.Input;
  #level = 0;

  attach(_listener: LineListener, _lineNumber: number): void {}

  submit(operation: number, argument: number): number {
    if (operation === LineOperation.SetValue) this.#level = argument;
    return operation === LineOperation.GetValue ? this.#level : 0;
  }
}

/** A device with its two queues, and a driver that repeats itself. */
class Rig {
  readonly device: GpioDevice;
  notifications = 0;
  readonly #guest: GuestMemory;
  readonly #requestAvail: Uint16Array;
  readonly #eventAvail: Uint16Array;

  constructor(memoryBytes: number, indirect: boolean, isTimed = false) {
    // Rings and buffers at the far end: offsets are as large as they get.
    const memory = new ArrayBuffer(memoryBytes);
    const base = memoryBytes - 2 ** 20;
    const view = new DataView(memory);
    this.#guest = new GuestMemory([{
      guestAddress: MEMORY_AT,
      userAddress: 0,
      length: memoryBytes,
      buffer: memory,
      bufferOffset: 0,
    }]);
    const ports = Array.from({ length: LINES }, () => new BarePort());
    this.device = new GpioDevice(
      ports,
      isTimed ? { times: new RequestTimes(LINES) } : {},
    );
    this.device.setFeatures(FEATURES);

    const requests = ringAt(memory, base);
    // Direct chains take two descriptors each: with 128 of them, each stands in
    // two of the ring's slots.
    const chains = indirect ? QUEUE_SIZE : QUEUE_SIZE / 2;
    const requestAt = (chain: number) => base + 2 ** 17 + chain * 128;
    const heads = Array.from({ length: chains }, (_, chain) => {
      const at = MEMORY_AT + requestAt(chain);
      const buffers = [
        { address: at, length: 8, writable: false },
        { address: at + 8, length: 2, writable: true },
      ];
      return indirect
        ? requests.addIndirect(buffers, at + 64)
        : requests.add(buffers);
    });
    repeat(requests, heads);
    this.#requestAvail = this.#start(REQUEST_QUEUE, requests, memory);

    const events = ringAt(memory, base + 2 ** 16);
    const buffers = Array.from({ length: LINES }, (_, line) => {
      const offset = base + 2 ** 18 + line * 16;
      view.setUint16(offset, line, true);
      const at = MEMORY_AT + offset;
      return events.add([
        { address: at, length: 2, writable: false },
        { address: at + 2, length: 1, writable: true },
      ]);
    });
    repeat(events, buffers);
    this.#eventAvail = this.#start(EVENT_QUEUE, events, memory);

    const writeRequests = (type: number, value: number) => {
      for (let chain = 0; chain < chains; chain++) {
        view.setUint16(requestAt(chain), type, true);
        view.setUint16(requestAt(chain) + 2, chain % LINES, true);
        view.setUint32(requestAt(chain) + 4, value, true);
      }
    };
    writeRequests(MessageType.SetIrqType, IrqType.EdgeBoth);
    this.serveRequests(LINES, LINES);
    for (const port of ports) port.direction = Direction.Output;
    writeRequests(MessageType.SetValue, 1);
  }

  #start(index: number, ring: RingDriver, memory: ArrayBuffer): Uint16Array {
    const queue = SplitQueue.create({
      memory: this.#guest,
      size: QUEUE_SIZE,
      descriptorAddress: ring.descriptorAddress,
      availAddress: ring.availAddress,
      usedAddress: ring.usedAddress,
      features: FEATURES,
      nextAvail: 0,
      notify: () => {
        this.notifications++;
      },
    });
    if (typeof queue === "string") throw new Error(queue);
    this.device.startQueue(index, queue);
    return new Uint16Array(memory, ring.parts[1]!.offset, 2);
  }

  /** Serves requests in batches of `depth`. */
  serveRequests(count: number, depth: number): void {
    const avail = this.#requestAvail;
    const device = this.device;
    for (let served = 0; served < count; served += depth) {
      Atomics.store(avail, 1, (avail[1]! + depth) & 0xffff);
      device.processQueue(REQUEST_QUEUE, QUEUE_SIZE);
    }
  }

  /** One interrupt after the other, each on the next line. */
  serveEdges(count: number): void {
    const avail = this.#eventAvail;
    const device = this.device;
    for (let i = 0; i < count; i++) {
      const line = avail[1]! % LINES;
      Atomics.store(avail, 1, (avail[1]! + 1) & 0xffff);
      device.processQueue(EVENT_QUEUE, QUEUE_SIZE);
      device.edge(line, 1);
    }
  }
}

function ringAt(memory: ArrayBuffer, offset: number): RingDriver {
  return new RingDriver({
    memory,
    guestAddress: MEMORY_AT,
    offset,
    size: QUEUE_SIZE,
    eventIndex: true,
  });
}

/** Fills the slots of the available ring with the same heads over and over. */
function repeat(ring: RingDriver, heads: number[]): void {
  ring.setAvailIndex(0);
  for (let slot = 0; slot < QUEUE_SIZE; slot++) {
    ring.makeAvailable(heads[slot % heads.length]!);
  }
  ring.setAvailIndex(0);
  ring.setUsedEvent(0xffff);
}

/** The best of some runs, in ns per piece of work. */
function measure(work: (count: number) => void): number {
  const count = 64 * REQUESTS;
  work(count);
  let best = Infinity;
  for (let i = 0; i < 20; i++) {
    const from = performance.now();
    work(count);
    best = Math.min(best, (performance.now() - from) * 1e6 / count);
  }
  return Math.round(best * 10) / 10;
}

if (import.meta.main) {
  const rows: Record<string, Record<string, number>> = {};
  for (
    const [kind, gib] of [
      ["direct", 0.5],
      ["indirect", 0.5],
      ["indirect, timed", 0.5],
      ["direct", 8],
      ["indirect", 8],
    ] as const
  ) {
    const isTimed = kind === "indirect, timed";
    const rig = new Rig(gib * GIB, kind !== "direct", isTimed);
    rows[`${kind}, ${gib} GiB`] = {
      "depth 1": measure((count) => rig.serveRequests(count, 1)),
      "depth 64": measure((count) => rig.serveRequests(count, 64)),
      "interrupt": measure((count) => rig.serveEdges(count)),
    };
  }
  console.log("ns per request, or per interrupt");
  console.table(rows);
} else {
  for (const depth of [1, 64]) {
    for (const kind of ["direct", "indirect", "indirect, timed"]) {
      const isTimed = kind === "indirect, timed";
      const rig = new Rig(GIB / 2, kind !== "direct", isTimed);
      Deno.bench({
        name: `${REQUESTS} requests, ${kind}, depth ${depth}`,
        group: `depth ${depth}`,
        fn: () => rig.serveRequests(REQUESTS, depth),
      });
    }
  }
  const rig = new Rig(GIB / 2, true);
  Deno.bench({
    name: `${REQUESTS} interrupts`,
    fn: () => rig.serveEdges(REQUESTS),
  });
}
