/** Recognition of a ring as the one that was left. */
import { assertEquals } from "@std/assert";
import { RingDriver } from "../../../tests/doubles/ring_driver.ts";
import { InflightFile } from "../../../tests/doubles/vhost_inflight.ts";
import { VhostRig } from "../../../tests/doubles/vhost_rig.ts";
import { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import { TakenHeads } from "../../virtio/queue/taken_heads.ts";
import {
  compareWithLog,
  isRingBlank,
  isUsedRingBlank,
  type RingAddress,
  ringSignature,
} from "./guest_identity.ts";

const BOTH = 3;
const GET_VALUE = 4;
const SIZE = 16;
const WRAP = 65_536;

/** Requests after which the ring's indices are at 0 again. */
function useUp(rig: VhostRig, count = WRAP): void {
  const [ring] = rig.guest.rings;
  const heads = Array.from(
    { length: 32 },
    () => rig.guest.request(GET_VALUE, 0),
  );
  for (let left = count; left > 0;) {
    rig.guest.kick(0);
    rig.turn(1);
    const { length } = ring!.collect();
    assertEquals(length, Math.min(heads.length, left));
    left -= length;
    // The same chains again: their descriptors are as they were.
    for (const head of heads.slice(0, left)) ring!.makeAvailable(head);
  }
}

for (const isArmed of [false, true]) {
  Deno.test(
    `a guest that was rebooted after 65,536 requests is another guest (${
      isArmed ? "an interrupt armed" : "without interrupts"
    })`,
    () => {
      using rig = new VhostRig();
      rig.negotiate();
      rig.startRings();
      useUp(rig, isArmed ? WRAP - 1 : WRAP);
      if (isArmed) rig.armLine(0, BOTH);
      assertEquals(rig.takeBase(0), 0);
      rig.takeBase(1);
      rig.guest.boot();
      rig.startRings();
      assertEquals(rig.device.resets, 1);
      assertEquals(rig.device.begun, [true, true]);
    },
  );
}

Deno.test("a guest that is paused after 65,536 requests is the same guest", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  useUp(rig, WRAP - 1);
  rig.armLine(0, BOTH);
  rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
  assertEquals(rig.device.resets, 0);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
});

for (const hasLog of [true, false]) {
  const how = hasLog ? "in-flight log" : "no log";
  Deno.test(`after a reconnect behind 65,536 requests it is the same guest (${how})`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    using region = InflightFile.get(rig);
    if (hasLog) region.set(rig);
    rig.startRings();
    useUp(rig, WRAP - 1);
    rig.armLine(0, BOTH);
    rig.reconnect();
    rig.negotiate();
    if (hasLog) region.set(rig);
    rig.startRings(rig.guest.rings.map((ring) => ring.usedIndex()));
    assertEquals(rig.device.begun, [true, false]);
    rig.ports[0]!.pull(1);
    assertEquals(rig.guest.interrupts(), hasLog ? [[0, 1]] : []);
  });

  Deno.test(`a guest that was rebooted behind 65,536 requests before a reconnect is another (${how})`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    using region = InflightFile.get(rig);
    if (hasLog) region.set(rig);
    rig.startRings();
    useUp(rig, WRAP - 1);
    rig.armLine(0, BOTH);
    rig.reconnect();
    rig.guest.boot();
    // As many buffers as the log has in flight.
    rig.guest.arm(0);
    rig.negotiate();
    if (hasLog) region.set(rig);
    rig.startRings();
    assertEquals(rig.device.begun, [true, true]);
    rig.ports[0]!.pull(1);
    assertEquals(rig.guest.interrupts(), []);
  });
}

Deno.test("the log's end may lie just before a wrap", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using region = InflightFile.get(rig);
  region.set(rig);
  rig.startRings();
  useUp(rig, WRAP - 1);
  rig.armLine(0, BOTH);
  rig.reconnect();
  // Killed between publishing the last entry and writing that down.
  region.view.setUint16(14, WRAP - 1, true);
  rig.negotiate();
  region.set(rig);
  rig.startRings([0, 0]);
  assertEquals(rig.device.begun, [true, false]);
});

Deno.test("a rebooted guest is another one, in whichever order its rings start", () => {
  for (const order of [[0, 1], [1, 0]]) {
    using rig = new VhostRig();
    rig.negotiate();
    rig.startRings();
    // The event ring was never used: it looks the same for any guest.
    rig.gpio(6, 0, BOTH);
    for (const index of order) rig.takeBase(index);
    rig.guest.boot();
    rig.guest.arm(0);
    for (const index of order) rig.setUp(index);
    for (const index of order) rig.enable(index);
    assertEquals(rig.device.resets, 1, `order ${order}`);
    assertEquals(rig.device.begun, [true, true]);
    // Its own buffer is held, and the old guest's interrupt is not armed.
    rig.ports[0]!.pull(1);
    assertEquals(rig.guest.interrupts(), []);
    rig.gpio(6, 0, BOTH);
    rig.ports[0]!.pull(0);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
  }
});

Deno.test("a ring that is set up anew beside a running one is the same guest's", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.gpio(3, 0, 1);
  rig.armLine(1, BOTH);
  // Paused, and gone on with.
  rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
  // A reset of one queue: its buffer is given anew.
  rig.takeBase(1);
  rig.setUp(1, 0);
  rig.enable(1);
  assertEquals(rig.device.resets, 0);
  rig.ports[1]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
});

Deno.test("interrupts that are lost with a session are told of once", () => {
  using rig = new VhostRig();
  const told = () => rig.log.filter((line) => line.includes("are dead")).length;
  rig.negotiate();
  rig.startRings();
  rig.armLine(1, BOTH);
  rig.ports[1]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
  rig.guest.arm(1);
  rig.guest.kick(1);
  rig.turn();
  // Its VMM comes back without an in-flight log.
  const bases = [0, 1].map((index) => rig.guest.rings[index]!.usedIndex());
  rig.reconnect();
  rig.negotiate();
  rig.startRings(bases);
  assertEquals(told(), 1);
  rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
  assertEquals(told(), 1);
});

/** A ring in memory of its own, with its driver. */
function ring(size = SIZE) {
  const bytes = 0x2000 + size * 32;
  const buffer = new ArrayBuffer(bytes);
  const memory = new GuestMemory([
    {
      guestAddress: 0,
      userAddress: 0,
      length: bytes,
      buffer,
      bufferOffset: 0,
    },
  ]);
  const driver = new RingDriver({
    memory: buffer,
    guestAddress: 0,
    offset: 0x1000,
    size,
  });
  const place: RingAddress = driver;
  const view = new DataView(buffer);
  return {
    memory,
    place,
    /** Elements that the device has written. */
    used(index: number, ...elements: [id: number, length: number][]) {
      view.setUint16(place.usedAddress + 2, index, true);
      for (const [i, [id, length]] of elements.entries()) {
        view.setUint32(place.usedAddress + 4 + i * 8, id, true);
        view.setUint32(place.usedAddress + 8 + i * 8, length, true);
      }
    },
    available(index: number) {
      view.setUint16(place.availAddress + 2, index, true);
    },
    descriptor(head: number, address: bigint, rest = 0n) {
      const at = place.descriptorAddress + head * 16;
      view.setBigUint64(at, address, true);
      view.setBigUint64(at + 8, rest, true);
    },
  };
}

Deno.test("compareWithLog() knows a ring by what is awaited, not only by what is used", () => {
  const it = ring();
  const compare = (usedIndex: number, inFlight: number, hasGivenBack = true) =>
    compareWithLog(it.memory, it.place, SIZE, {
      usedIndex,
      taken: { count: inFlight },
      hasGivenBack,
    });
  it.used(5, [3, 2]);
  it.available(8); // three are awaited
  assertEquals(compare(5, 3), "same");
  assertEquals(compare(5, 0), "same");
  assertEquals(compare(5, 4), "other", "more in flight than are awaited");
  // Published, and not written down: each of them counts as in flight.
  assertEquals(compare(4, 4), "same");
  assertEquals(compare(4, 5), "other");
  assertEquals(compare(2, 6), "same");
  assertEquals(compare(2, 7), "other");
  assertEquals(compare(6, 0), "other", "the log is ahead of the ring");
  it.used(5 + SIZE);
  it.available(5 + SIZE);
  assertEquals(compare(5, 0), "same");
  assertEquals(compare(4, 0), "other", "more than a whole ring later");
  it.available(5 + SIZE + SIZE + 1);
  assertEquals(
    compare(5 + SIZE, 0),
    "other",
    "more awaited than there is room",
  );
});

Deno.test("compareWithLog(): nothing used in a ring that its log says was used is another's", () => {
  const it = ring();
  const compare = (
    usedIndex: number,
    inFlight: number,
    hasGivenBack: boolean,
  ) =>
    compareWithLog(it.memory, it.place, SIZE, {
      usedIndex,
      taken: { count: inFlight },
      hasGivenBack,
    });
  assertEquals(compare(0, 0, false), "unknown");
  assertEquals(compare(7, 0, true), "other");
  assertEquals(compare(0, 0, true), "other", "65,536 were used");
  assertEquals(compare(0, 1, false), "other", "none is awaited");
  it.available(1);
  assertEquals(compare(0, 1, false), "same");
  assertEquals(compare(0, 1, true), "other");
  it.used(0, [0, 2]);
  assertEquals(compare(0, 1, true), "same");
});

Deno.test("isUsedRingBlank() is not misled by an index that wrapped around", () => {
  const it = ring();
  assertEquals(isUsedRingBlank(it.memory, it.place, SIZE), true);
  it.used(0, [0, 0], [0, 2]);
  assertEquals(isUsedRingBlank(it.memory, it.place, SIZE), false);
  it.used(1, [0, 0], [0, 0]);
  assertEquals(isUsedRingBlank(it.memory, it.place, SIZE), false);
});

Deno.test("ringSignature() changes with what a driver may not touch, and with nothing else", () => {
  const it = ring();
  const taken = new TakenHeads(SIZE);
  taken.add(2);
  const sign = () => ringSignature(it.memory, it.place, SIZE, taken);
  const before = sign();
  it.available(3);
  for (const other of [1, 3]) it.descriptor(other, 0x1234n, 0x5678n);
  assertEquals(sign(), before);
  for (
    const [address, rest] of [
      [0x1234n, 0n],
      [1n << 32n, 0n],
      [0n, 8n], // its length
      [0n, 1n << 32n], // its flags
      [0n, 1n << 48n], // the next one
    ] as const
  ) {
    it.descriptor(2, address, rest);
    assertEquals(sign() === before, false);
  }
  it.descriptor(2, 0n);
  assertEquals(sign(), before);
  it.used(0, [1, 0]);
  assertEquals(sign() === before, false);
  assertEquals(
    ringSignature(new GuestMemory([]), it.place, SIZE, taken),
    undefined,
  );
});

Deno.test("isRingBlank() is true until driver or device has written", () => {
  const it = ring();
  const isBlank = () => isRingBlank(it.memory, it.place, SIZE);
  assertEquals(isBlank(), true);
  it.available(1);
  assertEquals(isBlank(), false);
  it.available(0);
  for (const head of [0, SIZE - 1]) {
    it.descriptor(head, 0x1000n);
    assertEquals(isBlank(), false, "a request that was taken back");
    it.descriptor(head, 0n);
  }
  it.used(1);
  assertEquals(isBlank(), false);
  it.used(0, [0, 2]);
  assertEquals(isBlank(), false, "65,536 were used");
  it.used(0, [0, 0]);
  assertEquals(isBlank(), true);
  const nowhere = new GuestMemory([]);
  assertEquals(isRingBlank(nowhere, it.place, SIZE), false);
  assertEquals(isUsedRingBlank(nowhere, it.place, SIZE), true);
});

Deno.test("a look at a ring of 32,768 entries is one at what was written last", () => {
  const size = 32768;
  const it = ring(size);
  const taken = new TakenHeads(size);
  for (let head = 0; head < size; head++) taken.add(head);
  const sign = () => ringSignature(it.memory, it.place, size, taken);
  const write = (index: number) => {
    const view = it.memory.view(0);
    const at = it.place.usedAddress + 4 + index * 8;
    view.setUint32(at, view.getUint32(at, true) ^ 7, true);
  };
  it.used(1000);
  const before = sign();
  for (const index of [999, 700, 500]) {
    write(index);
    assertEquals(sign() === before, false, `element ${index}`);
    write(index);
  }
  it.descriptor(500, 0x1234n);
  assertEquals(sign() === before, false);
  it.descriptor(500, 0n);
  write(20_000);
  it.descriptor(20_000, 0x1234n);
  assertEquals(sign(), before);
  // An index of 0 is at both ends of the ring.
  it.used(0);
  // What was written above in the middle does not count.
  assertEquals(isUsedRingBlank(it.memory, it.place, size), true);
  for (const index of [0, 255, size - 256, size - 1]) {
    write(index);
    assertEquals(isUsedRingBlank(it.memory, it.place, size), false);
    write(index);
  }
});
