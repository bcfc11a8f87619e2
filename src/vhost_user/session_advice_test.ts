/** Advice for users whose VMM or guest is set up so that nothing works. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { description } from "../../tests/doubles/vhost_inflight.ts";
import {
  ALL_PROTOCOL,
  GUEST_FEATURES,
  R,
  u32,
  u64,
} from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

const GET_VALUE = 4;

function begin() {
  const clock = { now: 0 };
  const rig = new VhostRig({ now: () => clock.now });
  const pass = (ms: number) => {
    for (const end = clock.now + ms; clock.now < end;) {
      clock.now += Math.min(100, end - clock.now);
      rig.turn();
    }
  };
  const faults = () => rig.log.filter((line) => line.startsWith("fault"));
  return { rig, pass, faults };
}

Deno.test("a VMM that shares no memory is told what to do, once", () => {
  const { rig, pass, faults } = begin();
  using _rig = rig;
  rig.peer.send(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
  rig.must(R.SET_FEATURES, u64(GUEST_FEATURES));
  for (const index of [0, 1]) rig.setUp(index);
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  pass(900);
  assertEquals(faults(), []);
  pass(200);
  assertEquals(faults().length, 1);
  assertStringIncludes(faults()[0]!, "shares no memory with gpioagg");
  assertStringIncludes(faults()[0]!, "share=on");
  assertStringIncludes(faults()[0]!, "<access mode='shared'/>");
  pass(100_000);
  assertEquals(faults().length, 1);
});

Deno.test("memory that is mapped privately is noticed by kicks that bring nothing", () => {
  const { rig, pass, faults } = begin();
  using _rig = rig;
  // The guest writes to memory that no other process sees.
  using seen = createMemFd("seen", rig.guest.length);
  rig.negotiate();
  rig.must(R.SET_MEM_TABLE, rig.guest.memTable(), [seen.fd]);
  rig.startRings();
  // A guest that has not come as far as its driver's first request.
  pass(5000);
  assertEquals(faults(), []);
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  pass(5000);
  assertEquals(faults().length, 1);
  assertStringIncludes(faults()[0]!, "mapped privately");
  assertStringIncludes(faults()[0]!, "share=on");
});

Deno.test("a guest that is served, or that does nothing yet, is no fault", () => {
  for (const isServed of [false, true]) {
    const { rig, pass, faults } = begin();
    using _rig = rig;
    rig.negotiate();
    rig.startRings();
    if (isServed) rig.gpio(GET_VALUE, 0);
    pass(100_000);
    assertEquals(faults(), []);
  }
});

Deno.test("refused chains are reported, the first of each kind in a session", () => {
  const { rig, faults } = begin();
  using _rig = rig;
  rig.negotiate();
  rig.startRings();
  const refuse = (address: number) => {
    const ring = rig.guest.rings[0]!;
    ring.add([{ address, length: 8, writable: false }]);
    ring.publish();
    rig.guest.kick(0);
    rig.turn();
    ring.collect();
  };
  for (let i = 0; i < 3; i++) refuse(0x8_0000_0000);
  assertEquals(faults().length, 1);
  assertStringIncludes(
    faults()[0]!,
    "ring 0: a request of the guest was refused: a buffer is not in the " +
      "memory that the VMM shares",
  );
  assertStringIncludes(faults()[0]!, "share=on");
  for (let i = 0; i < 3; i++) refuse(rig.guest.guestAddress);
  assertEquals(faults().length, 2);
  assertStringIncludes(faults()[1]!, "no room for a response");
  rig.reconnect();
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  refuse(0x8_0000_0000);
  assertEquals(faults().length, 3);
});

Deno.test("options of a VMM that cannot be served are named", () => {
  for (
    const [bit, option] of [
      [33n, "iommu_platform=on"],
      [34n, "packed=on"],
      [35n, "in_order=on"],
    ] as const
  ) {
    const { rig, faults } = begin();
    using _rig = rig;
    rig.negotiate();
    assertEquals(
      rig.tell(R.SET_FEATURES, u64(GUEST_FEATURES | 1n << bit)),
      1,
    );
    assertStringIncludes(faults()[0]!, option);
  }
  // QEMU 7.2 tells of packed rings by their bases only.
  const { rig, faults } = begin();
  using _rig = rig;
  rig.negotiate();
  assertEquals(rig.tell(R.SET_VRING_BASE, u32(0, 0x8000_8000)), 1);
  assertStringIncludes(faults()[0]!, "packed=on");
});

Deno.test("a ring outside the memory that is shared is told with what to do", () => {
  const { rig, faults } = begin();
  using _rig = rig;
  rig.negotiate();
  rig.must(R.SET_VRING_NUM, u32(0, 64));
  const address = rig.guest.vringAddr(0);
  new DataView(address.buffer).setBigUint64(8, 0x1000n, true);
  assertEquals(rig.tell(R.SET_VRING_ADDR, address), 1);
  assertStringIncludes(faults()[0]!, "must be shared");
});

Deno.test("a guest that goes on without an in-flight log has dead interrupts, and that is said once", () => {
  for (const hasLog of [false, true]) {
    const { rig, faults } = begin();
    using _rig = rig;
    rig.negotiate();
    using file = createMemFd("region", 1 << 16);
    const region = description(2, 64, 1 << 16);
    if (hasLog) rig.must(R.SET_INFLIGHT_FD, region, [file.fd]);
    rig.startRings();
    rig.armLine(0, 3);
    rig.reconnect();
    rig.negotiate();
    if (hasLog) rig.must(R.SET_INFLIGHT_FD, region, [file.fd]);
    // A snapshot that is restored: as its VMM saved the bases.
    rig.startRings(rig.guest.rings.map((ring) => ring.availIndex));
    assertEquals(faults().length, hasLog ? 0 : 1);
    if (!hasLog) assertStringIncludes(faults()[0]!, "no in-flight log");
    rig.gpio(GET_VALUE, 0);
    rig.startRings([rig.takeBase(0), rig.takeBase(1)]);
    assertEquals(faults().length, hasLog ? 0 : 1);
  }
});
