import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ChainFault } from "./chain_fault.ts";
import { VIRTIO_F_EVENT_IDX_MASK } from "./features.ts";
import { GuestMemory } from "./guest_memory.ts";
import {
  crossesEvent,
  SplitQueue,
  type SplitQueueOptions,
} from "./split_queue.ts";
import {
  BASE,
  BUFFER,
  BYTES,
  made,
  popAll,
  queueRig,
  show,
} from "../../../tests/doubles/queue_rig.ts";

Deno.test("SplitQueue pops in order, and publishes what was pushed at flush only", () => {
  const { ring, queue, notified } = queueRig();
  const heads = show(ring, 3);
  assertEquals(popAll(queue), heads);
  assertEquals(queue.pop(), undefined);
  queue.push(heads[1]!, 5);
  queue.push(heads[0]!, 0);
  assertEquals(ring.usedIndex(), 0);
  assertEquals(notified(), 0);
  queue.flush();
  assertEquals(ring.collect(), [
    { head: heads[1]!, length: 5 },
    { head: heads[0]!, length: 0 },
  ]);
  assertEquals(notified(), 1);
  assertEquals(queue.inFlightHeads(), [heads[2]!]);
  queue.flush();
  assertEquals(notified(), 1);
});

Deno.test("SplitQueue works across the wrap of both indices", () => {
  const { ring, queue } = queueRig({ firstIndex: 0xfffd });
  for (let round = 0; round < 5; round++) {
    const heads = show(ring, 3);
    assertEquals(popAll(queue), heads);
    for (const head of heads) queue.push(head, 1);
    queue.flush();
    assertEquals(ring.collect().map((entry) => entry.head), heads);
  }
  assertEquals(queue.nextAvail, (0xfffd + 15) & 0xffff);
});

Deno.test("SplitQueue survives 70,000 entries in one ring of 4", () => {
  const { ring, queue } = queueRig({ size: 4 });
  // More than the indices count.
  for (let i = 0; i < 17_500; i++) {
    show(ring, 4);
    for (const head of popAll(queue)) queue.push(head, head);
    queue.flush();
    assertEquals(ring.collect().length, 4);
  }
});

Deno.test("crossesEvent() is right for every triple of a reduced modulus", () => {
  // The rule in words: the entries old, old + 1, … new - 1 were added; is the
  // event's entry one of them? A driver can lag by at most the whole modulus
  // less one entry.
  const modulus = 32;
  for (let event = 0; event < modulus; event++) {
    for (let oldIndex = 0; oldIndex < modulus; oldIndex++) {
      let isCrossed = false;
      for (let count = 0; count < modulus; count++) {
        const newIndex = (oldIndex + count) % modulus;
        assertEquals(
          crossesEvent(event, newIndex, oldIndex, modulus - 1),
          isCrossed,
          `event ${event}, from ${oldIndex} to ${newIndex}`,
        );
        isCrossed ||= newIndex === event;
      }
    }
  }
});

Deno.test("crossesEvent() wraps at 2^16", () => {
  assertEquals(crossesEvent(0xffff, 0, 0xffff), true);
  assertEquals(crossesEvent(0, 0, 0xffff), false);
  assertEquals(crossesEvent(0, 1, 0xffff), true);
  assertEquals(crossesEvent(5, 5, 5), false);
});

Deno.test("SplitQueue.flush() notifies once when the batch crosses used_event", () => {
  const cases: [usedEvent: number, notifications: number][] = [
    [0, 1],
    [2, 1],
    [3, 0],
    [0xffff, 0],
  ];
  for (const [usedEvent, expected] of cases) {
    const { ring, queue, notified } = queueRig();
    const heads = show(ring, 3);
    ring.setUsedEvent(usedEvent);
    popAll(queue);
    for (const head of heads) queue.push(head, 0);
    queue.flush();
    assertEquals(notified(), expected, `used_event ${usedEvent}`);
  }
});

Deno.test("SplitQueue.publish() shows what was pushed, and the next flush() notifies of all", () => {
  for (const eventIndex of [true, false]) {
    const { ring, queue, notified } = queueRig({ eventIndex });
    const heads = show(ring, 3);
    popAll(queue);
    for (const head of heads.slice(0, 2)) queue.push(head, 0);
    queue.publish();
    assertEquals([ring.usedIndex(), notified()], [2, 0]);
    queue.push(heads[2]!, 0);
    queue.flush();
    assertEquals([ring.usedIndex(), notified()], [3, 1]);
    queue.flush();
    assertEquals(notified(), 1);
  }
});

Deno.test("SplitQueue.flush() respects NO_INTERRUPT without EVENT_IDX", () => {
  const { ring, queue, notified } = queueRig({ eventIndex: false });
  const [first, second] = show(ring, 2);
  popAll(queue);
  ring.setAvailFlags(1);
  queue.push(first!, 0);
  queue.flush();
  assertEquals(notified(), 0);
  ring.setAvailFlags(0);
  queue.push(second!, 0);
  queue.flush();
  assertEquals(notified(), 1);
});

Deno.test("SplitQueue.rearm() asks for the next kick, then looks again", () => {
  const { ring, queue } = queueRig();
  show(ring, 2);
  assertEquals(popAll(queue).length, 2);
  assertEquals(queue.rearm(), false);
  assertEquals(ring.availEvent(), 2);
  ring.add([BUFFER]);
  assertEquals(ring.publish(), true, "the driver must kick for entry 2");
  assertEquals(queue.rearm(), true);
});

Deno.test("SplitQueue.rearm() finds the entry whose kick was not sent (lost-kick race)", () => {
  const { ring, queue } = queueRig();
  show(ring, 1);
  popAll(queue);
  // The driver adds after the device's last look and before it asks for kicks.
  ring.add([BUFFER]);
  assertEquals(ring.publish(), false, "the driver was not asked for a kick");
  assertEquals(queue.rearm(), true, "so the device must look again");
});

Deno.test("SplitQueue.rearm() switches kicks on again without EVENT_IDX", () => {
  const { ring, queue, buffer } = queueRig({ eventIndex: false });
  new DataView(buffer).setUint16(ring.parts[2]!.offset, 1, true);
  ring.add([BUFFER]);
  assertEquals(ring.publish(), false);
  assertEquals(queue.rearm(), true);
  popAll(queue);
  ring.add([BUFFER]);
  assertEquals(ring.publish(), true);
});

Deno.test("SplitQueue writes nothing to guest memory before it is used", () => {
  const { buffer, options } = queueRig({ firstIndex: 9 });
  const before = new Uint8Array(buffer).slice();
  made(SplitQueue.create(options));
  assertEquals(new Uint8Array(buffer), before);
});

Deno.test("SplitQueue stays inside its rings without EVENT_IDX", () => {
  // A used ring at the very end of memory, without room for avail_event.
  const buffer = new ArrayBuffer(0x1000);
  const memory = new GuestMemory([{
    guestAddress: 0,
    userAddress: 0,
    length: 0x1000,
    buffer,
    bufferOffset: 0,
  }]);
  const options: SplitQueueOptions = {
    memory,
    size: 2,
    descriptorAddress: 0,
    availAddress: 0x100,
    usedAddress: 0x1000 - 4 - 16,
    features: 0n,
    nextAvail: 0,
    notify: () => {},
  };
  made(SplitQueue.create(options));
  const withEvent = { ...options, features: VIRTIO_F_EVENT_IDX_MASK };
  assertStringIncludes(String(SplitQueue.create(withEvent)), "used ring");
});

Deno.test("SplitQueue.create() says why rings cannot be used", () => {
  const cases: [change: Partial<SplitQueueOptions>, text: string][] = [
    [{ size: 0 }, "power of two"],
    [{ size: 3 }, "power of two"],
    [{ size: 65536 }, "power of two"],
    [{ size: 1.5 }, "power of two"],
    [{ descriptorAddress: BASE + 8 }, "descriptor table at 0x10008 is not"],
    [{ availAddress: BASE + 1 }, "available ring at 0x10001 is not aligned"],
    [{ usedAddress: BASE + 2 }, "used ring at 0x10002 is not aligned"],
    [{ descriptorAddress: 0 }, "does not lie in one region"],
    [{ availAddress: BASE + BYTES - 4 }, "does not lie in one region"],
    [{ usedAddress: 2 ** 52 }, "does not lie in one region"],
    [{ usedAddress: 2 ** 60 }, "is not aligned"],
    [{ nextAvail: 65536 }, "65536 is no ring index"],
    [{ nextAvail: -1 }, "-1 is no ring index"],
    [{ resubmit: [8] }, "no head 8 to resubmit"],
    [{ resubmit: [-1] }, "no head -1 to resubmit"],
    [{ resubmit: [1.5] }, "no head 1.5 to resubmit"],
    [{ resubmit: [1, 2, 1] }, "no head 1 to resubmit twice"],
  ];
  const { options } = queueRig();
  for (const [change, text] of cases) {
    const result = SplitQueue.create({ ...options, ...change });
    assert(typeof result === "string", text);
    assertStringIncludes(result, text);
  }
});

Deno.test("SplitQueue.create() refuses memory that is mapped out of step", () => {
  const memory = new GuestMemory([{
    guestAddress: BASE,
    userAddress: 0,
    length: BYTES - 2,
    buffer: new ArrayBuffer(BYTES),
    bufferOffset: 1,
  }]);
  const { options } = queueRig();
  assertStringIncludes(
    String(SplitQueue.create({ ...options, memory })),
    "is mapped where it is not aligned",
  );
});

Deno.test("SplitQueue stops when the available index runs ahead", () => {
  for (const ahead of [9, 0x7fff, 0xffff]) {
    const { ring, queue, faults } = queueRig();
    ring.setAvailIndex(ahead);
    assertEquals(queue.pop(), undefined);
    assertStringIncludes(queue.fault ?? "", `${ahead} entries ahead of 0`);
    assertEquals(faults, [queue.fault]);
    // It does not come back by itself.
    ring.setAvailIndex(1);
    assertEquals(queue.pop(), undefined);
    assertEquals(queue.rearm(), false);
    assertEquals(faults.length, 1);
  }
  const { ring, queue } = queueRig();
  ring.setAvailIndex(8);
  assert(queue.pop() !== undefined, "a full ring is not ahead");
});

Deno.test("SplitQueue stops when the available ring names no descriptor", () => {
  for (const head of [8, 0xffff]) {
    const { ring, queue } = queueRig();
    const [good] = show(ring, 1);
    ring.makeAvailable(head);
    assertEquals(queue.pop()?.head, good);
    queue.push(good!, 3);
    assertEquals(queue.pop(), undefined);
    assertStringIncludes(queue.fault ?? "", `names descriptor ${head} of 8`);
    // What was served before is still published, but nothing is taken any more.
    queue.flush();
    assertEquals(ring.collect(), [{ head: good!, length: 3 }]);
  }
});

Deno.test("SplitQueue stops when a head comes a second time while it is out", () => {
  const { ring, queue } = queueRig();
  const [head] = show(ring, 1);
  ring.makeAvailable(head!);
  assertEquals(queue.pop()?.head, head);
  assertEquals(queue.pop(), undefined);
  assertStringIncludes(queue.fault ?? "", "while the device has it");
});

Deno.test("SplitQueue gives a head back at most once", () => {
  const { ring, queue } = queueRig();
  const [head] = show(ring, 2);
  popAll(queue);
  queue.push(head!, 1);
  queue.push(head!, 1);
  queue.push(7, 1);
  queue.flush();
  assertEquals(ring.collect(), [{ head: head!, length: 1 }]);
});

Deno.test("SplitQueue publishes before a hostile driver can lap the used ring", () => {
  const { ring, queue, notified } = queueRig({ size: 2 });
  const [head] = show(ring, 1);
  // Exactly so often that the index would look as if nothing had happened.
  for (let i = 0; i < 65536; i++) {
    assertEquals(queue.pop()?.head, head);
    queue.push(head!, 0);
    ring.makeAvailable(head!);
    if (i === 2) assertEquals(ring.usedIndex(), 2);
  }
  assertEquals(notified() > 0, true);
  queue.flush();
  assertEquals(ring.usedIndex(), 0);
});

Deno.test("SplitQueue names the fault of a malformed chain and goes on", () => {
  const { ring, queue } = queueRig();
  const [bad, good] = show(ring, 2);
  ring.writeDescriptor(bad!, { address: 0, length: 1, flags: 0, next: 0 });
  const chain = queue.pop();
  assertEquals(chain?.fault, ChainFault.BufferOutOfRange);
  queue.push(bad!, 0);
  assertEquals(queue.pop()?.head, good);
  assertEquals(chain?.fault, ChainFault.None);
  assertEquals(queue.fault, undefined);
});

Deno.test("SplitQueue does not touch memory once it is closed", () => {
  const { ring, queue, buffer, notified } = queueRig();
  const [done, head] = show(ring, 3);
  popAll(queue);
  queue.push(done!, 1);
  const before = new Uint8Array(buffer).slice();
  queue.close();
  queue.push(head!, 1);
  queue.flush();
  assertEquals(queue.rearm(), false);
  assertEquals(queue.hasBuffered, false);
  assertEquals(queue.pop(), undefined);
  assertEquals(new Uint8Array(buffer), before);
  assertEquals(notified(), 0);
  assertEquals(queue.inFlightHeads().length, 2);
});

Deno.test("SplitQueue takes every base that an index can be", () => {
  for (const firstIndex of [0, 1, 0x7fff, 0xffff]) {
    const { ring, queue } = queueRig({ firstIndex });
    ring.add([BUFFER]);
    ring.publish();
    assert(queue.pop() !== undefined, `base ${firstIndex}`);
    assertEquals(queue.nextAvail, (firstIndex + 1) & 0xffff);
  }
});

Deno.test("SplitQueue yields nothing of what it had seen once it is closed", () => {
  const { ring, queue } = queueRig();
  for (let i = 0; i < 3; i++) ring.add([BUFFER]);
  ring.publish();
  queue.pop();
  assertEquals(queue.hasBuffered, true);
  queue.close();
  assertEquals(queue.hasBuffered, false);
  assertEquals(queue.pop(), undefined);
});

Deno.test("SplitQueue asks for kicks as ever once it is not polled any more", () => {
  const { ring, queue } = queueRig();
  queue.beginPolling();
  queue.endPolling();
  ring.add([BUFFER]);
  ring.publish();
  queue.pop();
  assertEquals(queue.rearm(), false);
  assertEquals(ring.availEvent(), 1);
});
