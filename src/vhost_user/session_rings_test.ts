/** Rings: when they run, when they rest, and what is kept while they do. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import {
  ALL_PROTOCOL,
  F,
  GUEST_FEATURES,
  join,
  P,
  R,
  u32,
  u64,
} from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { Direction } from "../line/port.ts";

const NOFD = 0x100;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_DIRECTION = 3;
const BOTH_EDGES = 3;

Deno.test("a started ring that is not enabled consumes nothing, and is served when it is enabled", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.setUp(0);
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.turn();
  assertEquals(rig.guest.responses(), []);
  assertEquals(rig.guest.wasCalled(0), false);
  assertEquals(rig.takeBase(0), 0);
  rig.setUp(0);
  // No kick from here on: the race that hung guests at boot.
  rig.enable(0);
  assertEquals(rig.guest.responses(), [[0, 0]]);
  assertEquals(rig.guest.wasCalled(0), true);
});

Deno.test("an enabled ring is served when its kick fd arrives, without a kick", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.enable(0);
  rig.guest.request(GET_VALUE, 0);
  rig.setUp(0);
  assertEquals(rig.guest.responses(), [[0, 0]]);
  assertEquals(rig.log, ["connected", "started"]);
});

Deno.test("enabling outlives SET_FEATURES, and without bit 30 SET_FEATURES enables all", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.must(R.SET_FEATURES, u64(GUEST_FEATURES));
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  rig.reconnect();
  rig.guest.boot();
  // QEMU before 7.2 knows of no SET_VRING_ENABLE.
  rig.negotiate(GUEST_FEATURES & ~F.PROTOCOL);
  rig.setUp(0);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  // And in the other order.
  rig.reconnect();
  rig.guest.boot();
  rig.negotiate();
  rig.setUp(0);
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.turn();
  assertEquals(rig.guest.responses(), []);
  rig.must(R.SET_FEATURES, u64(GUEST_FEATURES & ~F.PROTOCOL));
  assertEquals(rig.guest.responses(), [[0, 0]]);
});

Deno.test("features, size, base and place cannot change while a ring runs", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.tell(R.SET_FEATURES, u64(GUEST_FEATURES & ~F.IRQ)), 1);
  assertEquals(rig.tell(R.SET_VRING_NUM, u32(0, 32)), 1);
  assertEquals(rig.tell(R.SET_VRING_NUM, u32(0, 64)), 0);
  assertEquals(rig.tell(R.SET_VRING_BASE, u32(0, 0)), 1);
  assertEquals(rig.tell(R.SET_VRING_ADDR, rig.guest.vringAddr(0)), 0);
  const elsewhere = join(u32(0, 0), rig.guest.vringAddr(1).subarray(8));
  assertEquals(rig.tell(R.SET_VRING_ADDR, elsewhere), 1);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("SET_VRING_ADDR wants whole rings inside the memory, aligned, and no logging", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.must(R.SET_VRING_NUM, u32(0, 64));
  const [descriptor, used, available] = [0x1000, 0x3000, 0x2000];
  const at = 0x7f12_3450_0000;
  const end = at + 0x10_0000;
  const tell = (d: number | bigint, u: number | bigint, a: number | bigint) =>
    rig.tell(R.SET_VRING_ADDR, join(u32(0, 0), u64(d, u, a, 0)));
  assertEquals(tell(at + descriptor, at + used, at + available), 0);
  // The last that fit: 64 × 16, 4 + 64 × 8, 4 + 64 × 2 bytes.
  assertEquals(tell(end - 1024, at + used, at + available), 0);
  assertEquals(tell(at, end - 516, at + available), 0);
  assertEquals(tell(at, at + used, end - 132), 0);
  const wrong: [number | bigint, number | bigint, number | bigint][] = [
    [end - 1008, at + used, at + available],
    [at, end - 512, at + available],
    [at, at + used, end - 130],
    [at - 16, at + used, at + available],
    [0, at + used, at + available],
    [0x4000_1000, at + used, at + available],
    [at + 8, at + used, at + available],
    [at, at + used + 2, at + available],
    [at, at + used, at + available + 1],
    [2n ** 64n - 16n, at + used, at + available],
    [at, 2n ** 64n - 4n, at + available],
    [at, at + used, 2n ** 63n],
  ];
  for (const [d, u, a] of wrong) {
    assertEquals(tell(d, u, a), 1, `${d.toString(16)} ${u} ${a}`);
  }
  const logging = join(u32(0, 1), rig.guest.vringAddr(0).subarray(8));
  assertEquals(rig.tell(R.SET_VRING_ADDR, logging), 1);
});

Deno.test("a ring whose addresses came before its memory is checked when it starts", () => {
  using rig = new VhostRig();
  rig.peer.send(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
  rig.must(R.SET_FEATURES, u64(GUEST_FEATURES));
  rig.setUp(0);
  rig.must(R.SET_VRING_NUM, u32(1, 64));
  rig.must(R.SET_VRING_ADDR, join(u32(1, 0), u64(16, 32, 64, 0)));
  rig.must(R.SET_VRING_KICK, u64(1), [rig.guest.kicks[1]!.fd]);
  rig.enable(0);
  rig.enable(1);
  assertEquals(rig.log, ["connected"]);
  rig.setMemory();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  assertStringIncludes(rig.log[1]!, "user address 0x10");
  assertEquals(rig.log[2], "started");
});

Deno.test("without an IRQ driver the event ring is enabled and never started", () => {
  using rig = new VhostRig();
  rig.negotiate(GUEST_FEATURES & ~F.IRQ);
  rig.setUp(0);
  // QEMU enables all rings of the device, set up or not.
  rig.enable(0);
  rig.enable(1);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  rig.enable(1, 0);
  rig.enable(0, 0);
  assertEquals(rig.takeBase(0), 1);
});

Deno.test("GET_VRING_BASE stops a ring: it tells the base, closes the kick, and touches nothing more", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.guest.wasCalled(0);
  assertEquals(rig.takeBase(0), 1);
  assertEquals(rig.log, ["connected", "started"]);
  assertEquals(rig.takeBase(1), 1);
  assertEquals(rig.log, ["connected", "started", "stopped"]);
  // The memory file was closed after mapping; of each ring, call and err stay.
  assertEquals(rig.leftovers(), { fds: 4, mappings: 1 });
  // Suspended: no guest memory is written, no notification is sent.
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.ports[0]!.pull(1);
  rig.turn();
  assertEquals(rig.guest.responses(), []);
  assertEquals(rig.guest.interrupts(), []);
  assertEquals(rig.guest.wasCalled(0), false);
  assertEquals(rig.guest.wasCalled(1), false);
  // But messages are answered, and a stopped ring tells its base again.
  assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
  assertEquals(rig.takeBase(0), 1);
  // No reset: a pause is none.
  assertEquals(rig.device.resets, 0);
});

Deno.test("a paused guest goes on: state kept, armed buffers still armed", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(SET_VALUE, 1, 1), [0, 0]);
  assertEquals(rig.gpio(SET_DIRECTION, 1, 1), [0, 0]);
  rig.armLine(0, BOTH_EDGES);
  rig.armLine(2, BOTH_EDGES);
  for (let pause = 0; pause < 3; pause++) {
    // As QEMU does for `stop` and `cont`.
    rig.enable(0, 0);
    rig.enable(1, 0);
    const bases = [rig.takeBase(0), rig.takeBase(1)];
    rig.must(R.SET_STATUS, u64(0));
    rig.must(R.SET_FEATURES, u64(GUEST_FEATURES));
    rig.setMemory();
    rig.startRings(bases);
    rig.must(R.SET_STATUS, u64(7));
    assertEquals(rig.device.resets, 0);
    rig.ports[0]!.pull(1 - rig.ports[0]!.level);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
    rig.guest.arm(0);
    rig.guest.kick(1);
    rig.turn();
  }
  rig.ports[2]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[2, 1]]);
  assertEquals(rig.ports[1]!.direction, Direction.Output);
  assertEquals(rig.gpio(GET_VALUE, 1), [0, 1]);
});

Deno.test("a ring that is only disabled and enabled goes on, too", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.enable(1, 0);
  rig.enable(0, 0);
  assertEquals(rig.log.at(-1), "stopped");
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.ports[0]!.pull(1);
  rig.turn();
  assertEquals([rig.guest.responses(), rig.guest.interrupts()], [[], []]);
  rig.enable(0);
  rig.enable(1);
  assertEquals(rig.guest.responses(), [[0, 1]]);
  rig.ports[0]!.pull(0);
  rig.turn();
  assertEquals(rig.guest.interrupts().map(([line]) => line), [0]);
  assertEquals(rig.device.resets, 0);
});

Deno.test("a rebooted guest begins anew: the old one's state goes once", () => {
  using rig = new VhostRig();
  rig.negotiate();
  for (let boot = 1; boot <= 3; boot++) {
    rig.startRings();
    rig.gpio(SET_DIRECTION, 1, 1);
    rig.armLine(0, BOTH_EDGES);
    rig.armLine(2, BOTH_EDGES);
    assertEquals(rig.device.resets, boot - 1);
    for (const index of [0, 1]) rig.enable(index, 0);
    for (const index of [0, 1]) rig.takeBase(index);
    rig.guest.boot();
  }
  // UML stops rings by disabling them only, and does not say why.
  rig.startRings();
  rig.armLine(3, BOTH_EDGES);
  rig.enable(1, 0);
  rig.enable(0, 0);
  rig.guest.boot();
  for (const index of [0, 1]) rig.setUp(index);
  for (const index of [0, 1]) rig.enable(index);
  assertEquals(rig.device.resets, 4);
  // Nothing of the old guest's is in the new one's rings.
  for (const port of rig.ports) port.pull(1);
  assertEquals(rig.guest.interrupts(), []);
  assertEquals(rig.gpio(GET_VALUE, 3), [0, 1]);
});

Deno.test("a ring that is used beyond its base is another ring, although the base agrees", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.gpio(GET_VALUE, 0);
  rig.gpio(GET_VALUE, 0);
  rig.takeBase(0);
  rig.takeBase(1);
  rig.guest.boot();
  // The same base, but the used index of a new ring.
  rig.startRings([2, 0]);
  assertEquals(rig.device.resets, 1);
});

Deno.test("another set of features is another driver, although the rings agree", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  const bases = [rig.takeBase(0), rig.takeBase(1)];
  rig.must(R.SET_FEATURES, u64(GUEST_FEATURES & ~F.INDIRECT));
  rig.startRings(bases);
  assertEquals(rig.device.resets, 1);
});

for (
  const [what, reset] of [
    ["RESET_DEVICE", (rig: VhostRig) => rig.must(R.RESET_DEVICE)],
    ["SET_STATUS 0", (rig: VhostRig) => rig.must(R.SET_STATUS, u64(0))],
  ] as const
) {
  Deno.test(`${what} stops the rings and discards the guest's state`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    rig.startRings();
    rig.must(R.SET_STATUS, u64(15));
    assertEquals(rig.askU64(R.GET_STATUS), 15n);
    rig.armLine(0, BOTH_EDGES);
    reset(rig);
    assertEquals(rig.device.resets, 1);
    assertEquals(rig.log, [
      "connected",
      "started",
      "stopped",
      "guest gone: its VMM reset the device",
    ]);
    // Reset twice is reset once.
    reset(rig);
    assertEquals(rig.device.resets, 1);
    rig.guest.request(GET_VALUE, 0);
    rig.guest.kick(0);
    rig.ports[0]!.pull(1);
    rig.turn();
    assertEquals([rig.guest.responses(), rig.guest.interrupts()], [[], []]);
    assertEquals(rig.takeBase(0), 0);
    rig.guest.boot();
    rig.startRings();
    rig.armLine(0, BOTH_EDGES);
    rig.ports[0]!.pull(0);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
    assertEquals(rig.device.resets, 1);
  });
}

Deno.test("SET_STATUS 0 behind GET_VRING_BASE leaves it to the next start whether it was a reset", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.takeBase(0);
  rig.takeBase(1);
  rig.must(R.SET_STATUS, u64(0));
  assertEquals(rig.device.resets, 0);
  // Never said for a pause.
  rig.must(R.RESET_DEVICE);
  assertEquals(rig.device.resets, 1);
});

Deno.test("call fds come, go and change at any time, and no call is lost", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  // The driver polls.
  rig.must(R.SET_VRING_CALL, u64(0 | NOFD));
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  assertEquals(rig.guest.wasCalled(0), false);
  // A new one is told at once: what it waits for may have happened before.
  rig.must(R.SET_VRING_CALL, u64(0), [rig.guest.calls[0]!.fd]);
  assertEquals(rig.guest.wasCalled(0), true);
  // QEMU swaps between two when the guest masks the vector.
  rig.must(R.SET_VRING_CALL, u64(0), [rig.guest.calls[1]!.fd]);
  rig.guest.wasCalled(1);
  rig.gpio(GET_VALUE, 0);
  assertEquals([rig.guest.wasCalled(0), rig.guest.wasCalled(1)], [false, true]);
  assertEquals(rig.leftovers().fds, 6);
});

Deno.test("one call fd may serve all rings", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  for (const index of [0, 1]) {
    rig.must(R.SET_VRING_CALL, u64(index), [rig.guest.calls[0]!.fd]);
  }
  rig.armLine(0, BOTH_EDGES);
  assert(rig.guest.wasCalled(0));
  rig.ports[0]!.pull(1);
  assert(rig.guest.wasCalled(0));
  assertEquals(rig.guest.wasCalled(1), false);
});

Deno.test("a ring without a kick fd is refused: there is no polling", () => {
  using rig = new VhostRig();
  rig.negotiate();
  assertEquals(rig.tell(R.SET_VRING_KICK, u64(0 | NOFD)), 1);
  assertStringIncludes(rig.log.at(-1)!, "polling");
});

Deno.test("a malformed ring stands still, signals its error fd, and is served again after its restart", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.guest.rings[0]!.setAvailIndex(1000);
  rig.guest.kick(0);
  rig.turn();
  assertEquals(rig.guest.hadError(0), true);
  assertEquals(rig.guest.hadError(1), false);
  assertEquals(rig.log.length, 3);
  assertStringIncludes(rig.log[2]!, "ring 0: The ring is malformed");
  // The other ring and the connection are not concerned.
  rig.guest.arm(0);
  rig.guest.kick(1);
  rig.turn();
  assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
  rig.takeBase(0);
  rig.takeBase(1);
  rig.guest.boot();
  rig.startRings();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("a ring that is never empty leaves its turn to the others", () => {
  using rig = new VhostRig({ queueSize: 4096 });
  rig.negotiate();
  rig.startRings();
  for (let i = 0; i < 2000; i++) rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  let done = 0;
  for (let turns = 0; done < 2000; turns++) {
    assert(turns < 20, `${done} in ${turns} turns`);
    rig.turn(1);
    const more = rig.guest.responses().length;
    // One budget for the kick, one for what was put off before.
    assert(more <= 2 * 256, `${more} in one turn`);
    done += more;
  }
  assertEquals(done, 2000);
});

Deno.test("a ring whose requests take long leaves its turn to another peer", () => {
  const clock = { now: 0 };
  using rig = new VhostRig({ queueSize: 1024, now: () => clock.now });
  rig.negotiate();
  rig.startRings();
  rig.ports[0]!.onSubmit = () => void (clock.now += 0.05);
  using other = createEventFd();
  let served = 0;
  using _other = rig.reactor.watch(
    other.fd,
    EPOLLIN | EPOLLET,
    () => served++,
    rig.reactor.share(),
  );
  signalFd(other.fd);
  rig.turn(1);
  for (let i = 0; i < 500; i++) rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  let done = 0;
  for (let turns = 1; done < 500; turns++) {
    assert(turns <= 500, `${done} in ${turns} turns`);
    signalFd(other.fd);
    rig.turn(1);
    const more = rig.guest.responses().length;
    // 50 µs each, and a slice of 25 µs: one, once the pace is known.
    assert(more <= 64, `${more} in one turn`);
    if (turns > 4) assert(more <= 2, `${more} in one turn`);
    assertEquals(served, turns + 1, "the other peer waits");
    done += more;
    clock.now += 1;
  }
});

Deno.test("the lost frontend's state goes at once, and all that it gave is released", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.hangUp();
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  assertEquals(rig.log, [
    "connected",
    "started",
    "stopped",
    "gone: the frontend closed the connection",
  ]);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), []);
});

Deno.test("a frontend that started nothing leaves no reset behind", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.setUp(0);
  rig.reconnect();
  assertEquals(rig.device.resets, 0);
});

Deno.test("a device that throws ends its session, not the loop", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.device.processQueue = () => {
    throw new Error("a bug");
  };
  rig.guest.kick(0);
  assert(rig.isHungUp());
  assertStringIncludes(rig.log[2]!, "an internal error came up: a bug");
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
});

Deno.test("protocol features that a frontend leaves out are not missed", () => {
  using rig = new VhostRig();
  // libkrun: CONFIG and MQ only, nothing is acknowledged.
  rig.peer.send(R.SET_PROTOCOL_FEATURES, u64(P.MQ | P.CONFIG));
  rig.peer.send(R.SET_FEATURES, u64(GUEST_FEATURES));
  rig.peer.send(R.SET_MEM_TABLE, rig.guest.memTable(), {
    fds: [rig.guest.file.fd],
  });
  rig.peer.send(R.SET_VRING_NUM, u32(0, 64));
  rig.peer.send(R.SET_VRING_BASE, u32(0, 0));
  rig.peer.send(R.SET_VRING_ADDR, rig.guest.vringAddr(0));
  rig.peer.send(R.SET_VRING_KICK, u64(0), { fds: [rig.guest.kicks[0]!.fd] });
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  rig.turn();
  assertEquals(rig.peer.read(), undefined);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});
