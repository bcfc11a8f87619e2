/** State in flight, kept by the frontend across sessions and crashes. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { libc } from "../../ffi/libc.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import {
  description,
  InflightFile as Region,
  QUEUE_BYTES,
  QUEUE_SIZE,
} from "../../tests/doubles/vhost_inflight.ts";
import { R, u32, u64 } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

const BOTH_EDGES = 3;
const SET_IRQ_TYPE = 6;
const GET_VALUE = 4;
/** Of the four lines' state, behind the logs: 16 + 4 × 2 bytes. */
const TAIL_BYTES = 24;

Deno.test("GET_INFLIGHT_FD makes a region for as many rings as there are", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using region = Region.get(rig);
  assertEquals(
    region.payload,
    description(2, 64, 2 * QUEUE_BYTES + TAIL_BYTES),
  );
  // The four fields only, as a frontend with a packed struct sends them.
  const packed = rig.ask(
    R.GET_INFLIGHT_FD,
    description(1, 256).subarray(0, 20),
  );
  assertEquals(
    packed.payload,
    description(1, 256, 4160 + TAIL_BYTES).subarray(0, 20),
  );
  for (const fd of packed.fds) fd.close();
  for (
    const [queues, size] of [[0, 64], [3, 64], [2, 0], [2, 32769]] as const
  ) {
    const { payload, fds } = rig.ask(
      R.GET_INFLIGHT_FD,
      description(queues, size),
    );
    assertEquals(payload, description(queues, size, 0));
    assertEquals(fds, []);
  }
});

Deno.test("SET_INFLIGHT_FD refuses what is no such region, or comes too late", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using file = createMemFd("region", 2 * QUEUE_BYTES);
  const tell = (...args: Parameters<typeof description>) =>
    rig.tell(R.SET_INFLIGHT_FD, description(...args), [file.fd]);
  const whole = 2 * QUEUE_BYTES;
  assertEquals(tell(2, QUEUE_SIZE, whole), 0);
  assertEquals(tell(1, QUEUE_SIZE, QUEUE_BYTES, QUEUE_BYTES), 0);
  assertEquals(rig.leftovers().mappings, 2);
  assertEquals(tell(2, QUEUE_SIZE, whole - 1), 1);
  assertEquals(tell(2, QUEUE_SIZE, whole + 1), 1);
  assertEquals(tell(2, QUEUE_SIZE, whole, 8), 1);
  assertEquals(tell(1, QUEUE_SIZE, QUEUE_BYTES, 4), 1);
  assertEquals(tell(0, QUEUE_SIZE, whole), 1);
  assertEquals(tell(2, 0, whole), 1);
  assertEquals(tell(0xffff, 0xffff, whole), 1);
  assertEquals(
    rig.tell(R.SET_INFLIGHT_FD, description(2, 64, whole), [
      rig.guest.errs[0]!.fd,
    ]),
    1,
  );
  assertEquals(rig.leftovers().mappings, 2);
  assertEquals(tell(2, QUEUE_SIZE, whole), 0);
  rig.startRings();
  assertEquals(tell(2, QUEUE_SIZE, whole), 1);
  assertStringIncludes(rig.log.join(), "fault");
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("a ring that does not fit into the region cannot start", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using file = createMemFd("region", 2 * QUEUE_BYTES);
  rig.must(R.SET_INFLIGHT_FD, description(2, 32, 2 * QUEUE_BYTES), [file.fd]);
  rig.setUp(0);
  assertEquals(rig.tell(R.SET_VRING_ENABLE, u32(0, 1)), 1);
  assertStringIncludes(rig.log.at(-1)!, "for 32");
});

for (
  const [what, baseOf] of [
    ["Cloud Hypervisor sets avail.idx", (rig: VhostRig) => [
      rig.guest.rings[0]!.availIndex,
      rig.guest.rings[1]!.availIndex,
    ]],
    ["QEMU sets used.idx", (rig: VhostRig) => [
      rig.guest.rings[0]!.usedIndex(),
      rig.guest.rings[1]!.usedIndex(),
    ]],
  ] as const
) {
  Deno.test(`after a reconnect armed buffers are held again, whatever the base (${what})`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    using region = Region.get(rig);
    region.set(rig);
    rig.startRings();
    for (const line of [0, 1, 2]) rig.armLine(line, BOTH_EDGES);
    // Out of order: the middle one comes back and is armed again.
    rig.ports[1]!.pull(1);
    assertEquals(rig.guest.interrupts(), [[1, 1]]);
    rig.guest.arm(1);
    rig.guest.kick(1);
    rig.turn();
    assertEquals(region.heads(1).length, 3);
    rig.reconnect();
    assertEquals(rig.device.resets, 1);
    // One more that was not read yet.
    rig.guest.arm(3);
    rig.negotiate();
    region.set(rig);
    rig.startRings(baseOf(rig));
    for (const line of [0, 1, 2, 3]) {
      assertEquals(rig.gpio(SET_IRQ_TYPE, line, BOTH_EDGES), [0, 0]);
    }
    for (const line of [2, 0, 3, 1]) {
      rig.ports[line]!.pull(1 - rig.ports[line]!.level);
      assertEquals(rig.guest.interrupts(), [[line, 1]]);
    }
    assertEquals(region.heads(1), []);
    assertEquals(rig.device.resets, 1);
    rig.hangUp();
    assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  });
}

Deno.test("a driver that was not told of the last answer is told after the reconnect", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using region = Region.get(rig);
  region.set(rig);
  rig.startRings();
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.turn();
  // As if the backend had died between publishing and calling.
  rig.guest.wasCalled(0);
  rig.reconnect();
  rig.negotiate();
  region.set(rig);
  rig.startRings([1, 0]);
  assertEquals(rig.guest.wasCalled(0), true);
  assertEquals(rig.guest.wasCalled(1), false);
});

Deno.test("a batch that was published but not struck off is not served twice", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using region = Region.get(rig);
  region.set(rig);
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.armLine(1, BOTH_EDGES);
  const [first] = region.heads(1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  rig.reconnect();
  // The crash: used.idx was stored, the rest of the log was not.
  region.view.setUint8(region.at(1, first!), 1);
  region.view.setUint16(QUEUE_BYTES + 14, 0, true);
  rig.negotiate();
  region.set(rig);
  rig.startRings([2, 2]);
  for (const line of [0, 1]) rig.gpio(SET_IRQ_TYPE, line, BOTH_EDGES);
  for (const line of [0, 1]) rig.ports[line]!.pull(1 - rig.ports[line]!.level);
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
});

Deno.test("within a session a pause goes on, and a reboot wipes what the region says", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using region = Region.get(rig);
  region.set(rig);
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
  assertEquals(rig.device.resets, 0);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  rig.guest.arm(0);
  rig.guest.kick(1);
  rig.turn();
  assertEquals(region.heads(1).length, 1);
  // The frontend hands the same region over, although the guest is another.
  rig.takeBase(0);
  rig.takeBase(1);
  rig.guest.boot();
  region.set(rig);
  rig.startRings();
  assertEquals(rig.device.resets, 1);
  assertEquals(region.heads(1), []);
  rig.armLine(0, BOTH_EDGES);
  rig.ports[0]!.pull(0);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
});

Deno.test("a region that is new to a paused ring learns what is in flight", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.armLine(1, BOTH_EDGES);
  const bases = [rig.takeBase(0), rig.takeBase(1)];
  using region = Region.get(rig);
  region.set(rig);
  rig.startRings(bases);
  assertEquals(region.heads(1).length, 2);
  rig.ports[1]!.pull(1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[1, 1], [0, 1]]);
  assertEquals(region.heads(1), []);
  assertEquals(rig.device.resets, 0);
});

Deno.test("a paused ring knows better than a region that is another ring's", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  const bases = [rig.takeBase(0), rig.takeBase(1)];
  using region = Region.get(rig);
  // A log in order, of heads that this ring's driver never gave away.
  region.view.setUint16(QUEUE_BYTES + 8, 1, true);
  region.view.setUint16(QUEUE_BYTES + 10, QUEUE_SIZE, true);
  for (const head of [40, 41, 42]) {
    region.view.setUint8(region.at(1, head), 1);
  }
  region.set(rig);
  rig.startRings(bases);
  assertEquals(region.heads(1).length, 1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  assertEquals(region.heads(1), []);
});

Deno.test("a region full of nonsense breaks nothing", () => {
  using rig = new VhostRig();
  for (const byte of [0x01, 0x7f, 0xff]) {
    rig.guest.boot();
    rig.negotiate();
    using region = Region.get(rig);
    for (let at = 0; at < 2 * QUEUE_BYTES; at++) region.view.setUint8(at, byte);
    for (const index of [0, 1]) {
      region.view.setUint16(index * QUEUE_BYTES + 8, 1, true);
      region.view.setUint16(index * QUEUE_BYTES + 10, QUEUE_SIZE, true);
    }
    region.set(rig);
    for (const index of [0, 1]) rig.setUp(index);
    for (const index of [0, 1]) rig.enable(index);
    rig.guest.request(GET_VALUE, 0);
    rig.guest.kick(0);
    rig.turn();
    assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
    rig.reconnect();
  }
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

for (const armed of [0, 3]) {
  Deno.test(`nothing is given back to a guest that was rebooted meanwhile (${armed} buffers waiting)`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    using region = Region.get(rig);
    region.set(rig);
    rig.startRings();
    // None of them came back: by its own ring alone the log could be right.
    for (const line of [0, 1, 2]) rig.armLine(line, BOTH_EDGES);
    const old = region.heads(1);
    assertEquals(old.length, 3);
    rig.reconnect();
    // As if that guest's driver had given others away than the next one's.
    for (const head of old) {
      region.view.setUint8(region.at(1, head), 0);
      region.view.setUint8(region.at(1, head + 40), 1);
    }
    rig.guest.boot();
    for (let line = 0; line < armed; line++) rig.guest.arm(line);
    rig.negotiate();
    region.set(rig);
    rig.startRings();
    assertEquals(region.heads(1).length, armed);
    assertEquals(rig.device.begun, [true, true]);
    for (const line of [0, 1, 2]) {
      rig.gpio(SET_IRQ_TYPE, line, BOTH_EDGES);
      if (line >= armed) rig.guest.arm(line);
    }
    rig.guest.kick(1);
    rig.turn();
    for (const line of [2, 0, 1]) {
      rig.ports[line]!.pull(1);
      assertEquals(rig.guest.interrupts(), [[line, 1]]);
    }
    assertEquals(region.heads(1), []);
    assertEquals(rig.log.filter((one) => one.startsWith("fault")), []);
  });
}

Deno.test("a device is told whether its guest may be one that it had before", () => {
  using rig = new VhostRig();
  const begun = () => rig.device.begun.splice(0);
  const bases = () => rig.guest.rings.map((ring) => ring.usedIndex());
  rig.negotiate();
  rig.startRings();
  assertEquals(begun(), [true]);
  rig.gpio(GET_VALUE, 0);
  rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
  assertEquals(begun(), [], "a pause");
  for (const hasLog of [false, true]) {
    rig.reconnect();
    rig.negotiate();
    using region = Region.get(rig);
    if (hasLog) region.set(rig);
    rig.startRings(bases());
    assertEquals(begun(), [false], "it did not notice");
  }
  rig.must(R.RESET_DEVICE);
  rig.guest.boot();
  rig.startRings();
  assertEquals(begun(), [true], "a reset");
  rig.gpio(GET_VALUE, 0);
  rig.reconnect();
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  assertEquals(begun(), [true], "a reboot");
});

Deno.test("an in-flight region that is truncated ends its session", () => {
  for (const isBefore of [true, false]) {
    using rig = new VhostRig();
    rig.negotiate();
    const size = 2 * QUEUE_BYTES + 4096;
    using file = createMemFd("region", size);
    rig.must(R.SET_INFLIGHT_FD, description(2, QUEUE_SIZE, size), [file.fd]);
    if (!isBefore) rig.startRings();
    libc().ftruncate(file.fd, 0n);
    if (isBefore) {
      for (const index of [0, 1]) {
        rig.peer.send(R.SET_VRING_NUM, u32(index, rig.guest.queueSize));
        rig.peer.send(R.SET_VRING_ADDR, rig.guest.vringAddr(index));
        rig.peer.send(R.SET_VRING_KICK, u64(index), {
          fds: [rig.guest.kicks[index]!.fd],
        });
        rig.peer.send(R.SET_VRING_ENABLE, u32(index, 1));
      }
    } else {
      rig.guest.request(GET_VALUE, 0, 0);
      rig.guest.kick(0);
    }
    assertEquals(rig.isHungUp(), true, `before: ${isBefore}`);
    assertStringIncludes(rig.log.join(), "the in-flight region at offset ");
    assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  }
});

/**
 * A region for two large rings. The log of the first claims all heads, the last
 * one as the oldest; that of the second claims none.
 */
function fullRegion(queueSize: number) {
  const queueBytes = 16 + queueSize * 16 + 48;
  const fd = createMemFd("full", 2 * queueBytes);
  const mapping = Mapping.map(fd.fd, {
    length: 2 * queueBytes,
    subject: "the region",
  });
  const view = new DataView(mapping.buffer);
  for (const start of [0, queueBytes]) {
    view.setUint16(start + 8, 1, true);
    view.setUint16(start + 10, queueSize, true);
  }
  for (let head = 0; head < queueSize; head++) {
    const at = 16 + head * 16;
    view.setUint8(at, 1);
    view.setBigUint64(at + 8, BigInt(queueSize - head), true);
  }
  return {
    fd,
    payload: description(2, queueSize, 2 * queueBytes),
    [Symbol.dispose]() {
      mapping[Symbol.dispose]();
      fd.close();
    },
  };
}

/**
 * A rig with large rings whose every look at the clock takes 10 µs, and another
 * peer that is active in each turn, which counts them.
 */
function busyRig() {
  const clock = { now: 0 };
  const rig = new VhostRig({
    queueSize: 8192,
    now: () => clock.now += 0.01,
  });
  const other = createEventFd();
  const found = { turns: 0 };
  const watch = rig.reactor.watch(
    other.fd,
    EPOLLIN | EPOLLET,
    () => void found.turns++,
    rig.reactor.share(),
  );
  return {
    rig,
    /** Lets the loop turn until `isDone`; returns the turns of the other peer. */
    turnsUntil(isDone: () => boolean): number {
      const from = found.turns;
      for (let i = 0; i < 10_000 && !isDone(); i++) {
        signalFd(other.fd);
        rig.turn(1);
        // What a peer owes is paid back.
        clock.now += 20;
      }
      return found.turns - from;
    },
    [Symbol.dispose]() {
      watch[Symbol.dispose]();
      other.close();
      rig[Symbol.dispose]();
    },
  };
}

Deno.test("a log that claims all heads of large rings is read in short turns", () => {
  using it = busyRig();
  const { rig } = it;
  rig.negotiate();
  using region = fullRegion(8192);
  rig.must(R.SET_INFLIGHT_FD, region.payload, [region.fd.fd]);
  for (const index of [0, 1]) rig.setUp(index);
  // Requests without room for an answer: refused.
  for (let head = 0; head < 8192; head++) {
    rig.guest.rings[0]!.add([
      { address: rig.guest.guestAddress, length: 8, writable: false },
    ]);
  }
  rig.guest.rings[0]!.publish();
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  const turns = it.turnsUntil(() => rig.log.includes("started"));
  assert(rig.log.includes("started"), "told without another request");
  // Of 8192 entries in steps of 1024: looks, passes and lists.
  assert(turns > 20, `${turns} turns`);
  it.turnsUntil(() => rig.guest.rings[0]!.usedIndex() >= 100);
  const used = rig.guest.rings[0]!.collect().map(({ head }) => head);
  // Oldest first, as the log says; the available ring begins with head 0.
  assertEquals(used.slice(0, 3), [8191, 8190, 8189]);
});

Deno.test("a session may end, and get other logs, while large logs are read", () => {
  using it = busyRig();
  const { rig } = it;
  rig.negotiate();
  using region = fullRegion(8192);
  const hand = () =>
    rig.peer.send(R.SET_INFLIGHT_FD, region.payload, {
      fds: [region.fd.fd],
    });
  hand();
  for (const index of [0, 1]) rig.setUp(index);
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  rig.turn(1);
  hand();
  rig.turn(1);
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 0));
  rig.turn(1);
  it.turnsUntil(() => false);
  assertEquals(rig.log, ["connected"]);
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  it.turnsUntil(() => rig.log.includes("started"));
  rig.takeBase(0);
  hand();
  rig.setUp(0);
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  rig.turn(1);
  rig.hangUp();
  it.turnsUntil(() => false);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
});
