/** Rings that are looked at for a while instead of waiting for kicks. */
import { assert, assertEquals } from "@std/assert";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { GUEST_FEATURES } from "../../tests/doubles/vhost_peer.ts";

const GET_VALUE = 4;
const US = 1 / 1000;
const EVENT_INDEX = 1n << 29n;

/** A rig whose clock advances by a microsecond each time it is read. */
function pollingRig(features: bigint, onRead = () => 0): VhostRig {
  let now = 0;
  const rig = new VhostRig({
    now: () => now += US + onRead(),
    polling: { periodUs: 1000, sharePercent: 100 },
  });
  rig.negotiate(features);
  rig.startRings();
  return rig;
}

/** Answers to a request that is not kicked. */
function silently(rig: VhostRig): number {
  rig.guest.request(GET_VALUE, 0);
  rig.turn(2);
  return rig.guest.responses().length;
}

/** Turns until the ring is not polled any more. */
function untilQuiet(rig: VhostRig): void {
  for (let i = 0; i < 1000; i++) rig.reactor.turn(0);
}

for (
  const [how, features] of [
    ["used-ring flag", GUEST_FEATURES & ~EVENT_INDEX],
    ["event index", GUEST_FEATURES | EVENT_INDEX],
  ] as const
) {
  Deno.test(`a ring is served without kicks after a request, which is told by ${how}`, () => {
    using rig = pollingRig(features);
    const ring = rig.guest.rings[0]!;
    const hasEventIndex = (features & EVENT_INDEX) !== 0n;
    const wantsKick = () =>
      hasEventIndex
        ? ring.availEvent() === ring.availIndex
        : ring.usedFlags() === 0;
    untilQuiet(rig);
    assertEquals([wantsKick(), silently(rig)], [true, 0]);
    rig.guest.kick(0);
    rig.turn(2);
    assertEquals(rig.guest.responses().length, 1);
    for (let i = 0; i < 10; i++) {
      assertEquals([wantsKick(), silently(rig)], [false, 1]);
    }
    untilQuiet(rig);
    assertEquals(wantsKick(), true);
    assertEquals(silently(rig), 0);
    rig.guest.kick(0);
    rig.turn(2);
    assertEquals(rig.guest.responses().length, 1);
    // A ring that is stopped in the midst of it asks for kicks.
    assertEquals(wantsKick(), false);
    rig.takeBase(0);
    if (!hasEventIndex) assertEquals(ring.usedFlags(), 0);
    assert(wantsKick());
    rig.guest.request(GET_VALUE, 0);
    untilQuiet(rig);
    assertEquals(rig.guest.responses().length, 0);
  });
}

Deno.test("a request that comes while polling ends needs no kick", () => {
  let onRead = () => 0;
  using rig = pollingRig(GUEST_FEATURES | EVENT_INDEX, () => onRead());
  rig.gpio(GET_VALUE, 0);
  // After the last look at the ring, while the clock is read that ends it.
  onRead = () => {
    onRead = () => 0;
    rig.guest.request(GET_VALUE, 0);
    return 2;
  };
  rig.turn(1);
  assertEquals(rig.guest.responses().length, 1);
  const ring = rig.guest.rings[0]!;
  assertEquals(ring.availEvent(), ring.availIndex);
});

Deno.test("a malformed ring is not looked at for ever", () => {
  let reads = 0;
  using rig = pollingRig(GUEST_FEATURES, () => {
    reads++;
    return 0;
  });
  rig.gpio(GET_VALUE, 0);
  const ring = rig.guest.rings[0]!;
  ring.setAvailIndex(ring.availIndex + 1000);
  rig.turn(2);
  assert(rig.log.some((line) => line.includes("ring is malformed")));
  const before = rig.log.length;
  untilQuiet(rig);
  assertEquals(rig.log.length, before);
  reads = 0;
  rig.reactor.turn(0);
  assert(reads < 5, `${reads} readings of the clock in a turn`);
  assertEquals(rig.isHungUp(), false);
});

Deno.test("a session that ends while its rings are looked at is gone", () => {
  using rig = pollingRig(GUEST_FEATURES);
  rig.gpio(GET_VALUE, 0);
  rig.hangUp();
  rig.turn(20);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  rig.guest.boot();
  rig.peer = rig.connect();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});
