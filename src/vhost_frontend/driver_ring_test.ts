import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  DriverRing,
  eventIndexPassed,
  type RingMemory,
  ringSizes,
  USED_NO_NOTIFY,
} from "./driver_ring.ts";
import { RuleViolation } from "./errors.ts";

/** One buffer at guest-physical 0x1000, given out from the start. */
class PlainMemory implements RingMemory {
  static readonly #BASE = 0x1000;
  readonly buffer: ArrayBuffer;
  /**
   * Spans that were given out: first address and the address behind the last.
   */
  readonly given: [number, number][] = [];
  #free = 0;

  constructor(length = 0x10_0000) {
    this.buffer = new ArrayBuffer(length);
  }

  allocate(length: number, align: number): number {
    const start = Math.ceil(this.#free / align) * align;
    this.#free = start + length;
    const address = PlainMemory.#BASE + start;
    this.given.push([address, address + length]);
    return address;
  }

  span(guestAddress: number, _length: number) {
    return {
      buffer: this.buffer,
      offset: guestAddress - PlainMemory.#BASE,
    };
  }
}

/** The device's side of a ring in the same memory, in literal offsets. */
class Device {
  readonly #view: DataView;

  constructor(readonly memory: PlainMemory, readonly ring: DriverRing) {
    this.#view = new DataView(memory.buffer);
  }

  u16(address: number): number {
    return this.#view.getUint16(this.memory.span(address, 2).offset, true);
  }

  set16(address: number, value: number): void {
    this.#view.setUint16(this.memory.span(address, 2).offset, value, true);
  }

  use(index: number, id: number, length: number): void {
    const entry = this.ring.usedAddress + 4 + 8 * (index % this.ring.size);
    const { offset } = this.memory.span(entry, 8);
    this.#view.setUint32(offset, id, true);
    this.#view.setUint32(offset + 4, length, true);
    this.set16(this.ring.usedAddress + 2, index + 1);
  }
}

function setUp(size = 4, eventIndex = false) {
  const memory = new PlainMemory();
  const ring = DriverRing.create({ memory, size, eventIndex });
  return { memory, ring, device: new Device(memory, ring) };
}

Deno.test("DriverRing lays out parts that are aligned and do not overlap", () => {
  for (let size = 1; size <= 32768; size *= 2) {
    const memory = new PlainMemory();
    const ring = DriverRing.create({ memory, size, eventIndex: true });
    assertEquals(ring.descriptorAddress % 16, 0);
    assertEquals(ring.availAddress % 2, 0);
    assertEquals(ring.usedAddress % 4, 0);
    const sizes = ringSizes(size);
    const parts = [
      [ring.descriptorAddress, sizes.descriptors],
      [ring.availAddress, sizes.avail],
      [ring.usedAddress, sizes.used],
    ].map(([start, length]) => [start!, start! + length!] as const)
      .sort((a, b) => a[0] - b[0]);
    for (const [index, part] of parts.entries()) {
      const next = parts[index + 1];
      assert(next === undefined || part[1] <= next[0], `size ${size}`);
    }
    assertEquals(parts, memory.given.toSorted((a, b) => a[0] - b[0]));
  }
});

Deno.test("ringSizes() are the specification's", () => {
  assertEquals(ringSizes(256), {
    descriptors: 16 * 256,
    avail: 6 + 2 * 256,
    used: 6 + 8 * 256,
  });
});

Deno.test("DriverRing writes each part where the specification has it", () => {
  const { memory, ring, device } = setUp(4, true);
  // All ones first, so that a field that is written twice or not shows.
  new Uint8Array(memory.buffer).fill(0xff, 0, 4 * 16);
  ring.writeDescriptor(1, 0x1_2233_4455, 8, 3, 2);
  const { offset } = memory.span(ring.descriptorAddress + 16, 16);
  assertEquals(
    new Uint8Array(memory.buffer, offset, 16).toHex(),
    "5544332201000000" + "08000000" + "0300" + "0200",
  );
  ring.makeAvailable(1);
  ring.makeAvailable(3);
  assertEquals(device.u16(ring.availAddress + 2), 0, "not yet published");
  ring.publish();
  assertEquals(device.u16(ring.availAddress + 2), 2);
  assertEquals(device.u16(ring.availAddress + 4), 1);
  assertEquals(device.u16(ring.availAddress + 6), 3);
  device.use(0, 3, 2);
  device.use(1, 1, 2);
  assertEquals(ring.usedCount(), 2);
  ring.takeUsed();
  assertEquals([ring.usedHead, ring.usedLength], [3, 2]);
  ring.enableCalls();
  assertEquals(device.u16(ring.availAddress + 4 + 2 * 4), 1, "used_event");
});

Deno.test("DriverRing.publish() asks for a kick as avail_event says", () => {
  const { ring, device } = setUp(4, true);
  const availEvent = ring.usedAddress + 4 + 8 * 4;
  device.set16(availEvent, 1);
  ring.makeAvailable(0);
  assertEquals(ring.publish(), false, "entry 0 was not asked for");
  ring.makeAvailable(0);
  assertEquals(ring.publish(), true, "entry 1 was");
});

Deno.test("without event index the flags decide about kicks and calls", () => {
  const { ring, device } = setUp(4, false);
  ring.makeAvailable(0);
  assertEquals(ring.publish(), true);
  device.set16(ring.usedAddress, USED_NO_NOTIFY);
  ring.makeAvailable(1);
  assertEquals(ring.publish(), false);
  device.set16(ring.availAddress, 1); // VIRTQ_AVAIL_F_NO_INTERRUPT
  ring.enableCalls();
  assertEquals(device.u16(ring.availAddress), 0);
});

Deno.test("eventIndexPassed() is right for every triple of a small circle", () => {
  // The rule in words: of the entries old .. next-1 that were just added, the
  // one numbered `event` is among them. Tried around every wrap of 16 bits.
  for (const base of [0, 0x7ff8, 0xfff0, 0xffff]) {
    for (let added = 0; added < 20; added++) {
      for (let event = -20; event < 40; event++) {
        const expected = event >= 0 && event < added;
        const wrap = (n: number) => (base + n) & 0xffff;
        assertEquals(
          eventIndexPassed(wrap(event), wrap(added), wrap(0)),
          expected,
          `base ${base}, added ${added}, event ${event}`,
        );
      }
    }
  }
});

Deno.test("DriverRing goes on past the wrap of its 16-bit indices", () => {
  const { ring, device } = setUp(4, true);
  for (let index = 0; index < 0x1_0010; index++) {
    ring.makeAvailable(index & 3);
    ring.publish();
    assertEquals(ring.outstanding, 1);
    device.use(index & 0xffff, index & 3, 2);
    assertEquals(ring.usedCount(), 1);
    ring.takeUsed();
    if (ring.usedHead !== (index & 3)) throw new Error(`at ${index}`);
  }
  assertEquals(ring.availIndex, 0x10);
  assertEquals(ring.nextUsed, 0x10);
});

Deno.test("DriverRing.usedCount() names a device that returns too much", () => {
  const { ring, device } = setUp(4);
  ring.makeAvailable(0);
  ring.publish();
  device.use(0, 0, 2);
  device.use(1, 0, 2);
  assertThrows(() => ring.usedCount(), RuleViolation, "once");
});

Deno.test("DriverRing.create() refuses sizes that no split ring has", () => {
  for (const size of [0, 3, 65536, -4, 2.5]) {
    assertThrows(() => setUp(size), RangeError, "power of two");
  }
});

Deno.test("DriverRing.reset() leaves an empty ring", () => {
  const { ring, device } = setUp(4, true);
  ring.makeAvailable(2);
  ring.publish();
  device.use(0, 2, 2);
  ring.reset();
  assertEquals(ring.usedCount(), 0);
  assertEquals(ring.outstanding, 0);
  assertEquals(device.u16(ring.availAddress + 2), 0);
  assertEquals(device.u16(ring.usedAddress + 2), 0);
});
