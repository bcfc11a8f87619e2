import { assert, assertEquals } from "@std/assert";
import { RingDriver } from "./ring_driver.ts";

const GUEST_ADDRESS = 0x10000;

function driver(size: number, eventIndex = true): RingDriver {
  return new RingDriver({
    memory: new ArrayBuffer(2 ** 21),
    guestAddress: GUEST_ADDRESS,
    offset: 0x400,
    size,
    eventIndex,
  });
}

Deno.test("RingDriver places its parts without overlap, for every size", () => {
  for (let size = 1; size <= 32768; size *= 2) {
    const ring = driver(size);
    let end = 0x400;
    for (const part of ring.parts) {
      assert(part.offset >= end, `${part.name} of ${size} begins too early`);
      end = part.offset + part.length;
    }
    assert(ring.endOffset >= end);
    // Sizes and alignments of virtio 1.3, section 2.7.
    const lengths = ring.parts.map((part) => part.length);
    assertEquals(lengths, [16 * size, 6 + 2 * size, 6 + 8 * size]);
    assertEquals(ring.descriptorAddress % 16, 0);
    assertEquals(ring.availAddress % 2, 0);
    assertEquals(ring.usedAddress % 4, 0);
  }
});

Deno.test("RingDriver writes every field inside its own part", () => {
  for (const size of [1, 2, 16, 256]) {
    const memory = new ArrayBuffer(2 ** 16);
    const ring = new RingDriver({
      memory,
      guestAddress: 0,
      offset: 64,
      size,
      eventIndex: true,
    });
    const bytes = new Uint8Array(memory);
    const [descriptors, available, used] = ring.parts;
    const outside = (part: { offset: number; length: number }) =>
      bytes.findIndex((byte, at) =>
        byte !== 0 && (at < part.offset || at >= part.offset + part.length)
      );
    bytes.fill(0);
    for (let i = 0; i < size; i++) {
      ring.writeDescriptor(i, {
        address: 2 ** 40 - 1,
        length: 2 ** 32 - 1,
        flags: 0xffff,
        next: 0xffff,
      });
    }
    assertEquals(outside(descriptors!), -1);
    bytes.fill(0);
    for (let i = 0; i < size; i++) ring.makeAvailable(0xffff);
    ring.setUsedEvent(0xffff);
    ring.setAvailFlags(0xffff);
    assertEquals(outside(available!), -1);
    // The last two bytes of the used ring are the avail_event field.
    bytes.fill(0);
    bytes[used!.offset + used!.length - 2] = 7;
    assertEquals(ring.availEvent(), 7);
  }
});

Deno.test("RingDriver links a chain and frees it when it is used", () => {
  const memory = new ArrayBuffer(4096);
  const view = new DataView(memory);
  const ring = new RingDriver({ memory, guestAddress: 0, offset: 0, size: 4 });
  const head = ring.add([
    { address: 0x800, length: 8, writable: false },
    { address: 0x900, length: 2, writable: true },
  ]);
  assertEquals(ring.freeCount, 2);
  assertEquals(view.getUint32(head * 16, true), 0x800);
  assertEquals(view.getUint16(head * 16 + 12, true), 1);
  const next = view.getUint16(head * 16 + 14, true);
  assertEquals(view.getUint32(next * 16 + 8, true), 2);
  assertEquals(view.getUint16(next * 16 + 12, true), 2);

  const used = ring.parts[2]!.offset;
  view.setUint32(used + 4, head, true);
  view.setUint32(used + 8, 2, true);
  view.setUint16(used + 2, 1, true);
  assertEquals(ring.collect(), [{ head, length: 2 }]);
  assertEquals(ring.collect(), []);
  assertEquals(ring.freeCount, 4);
});

Deno.test("RingDriver kicks when the device's event is among the new entries", () => {
  const memory = new ArrayBuffer(4096);
  const ring = new RingDriver({
    memory,
    guestAddress: 0,
    offset: 0,
    size: 4,
    eventIndex: true,
    firstIndex: 0xffff,
  });
  const { offset, length } = ring.parts[2]!;
  const view = new DataView(memory);
  const buffer = { address: 0x800, length: 1, writable: true };
  view.setUint16(offset + length - 2, 0, true);
  ring.add([buffer]);
  assertEquals(ring.publish(), false); // entry 0xffff; the event is entry 0
  ring.add([buffer]);
  assertEquals(ring.publish(), true);
  ring.add([buffer]);
  assertEquals(ring.publish(), false);
});
