/** A driver that stops: a pause, a guest that is gone, or the next one. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { InflightFile } from "../../tests/doubles/vhost_inflight.ts";
import { R, u32 } from "../../tests/doubles/vhost_peer.ts";
import { type RigOptions, VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { Departure, Direction, LineOperation } from "../line/port.ts";
import type { PeerTimes } from "../peer/peer_process.ts";

const BOTH = 3;
const OUT = Direction.Output;
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;

/** A rig with a clock of its own. */
function begin(options: RigOptions = {}) {
  const clock = { now: 0 };
  const rig = new VhostRig({ ...options, now: () => clock.now });
  /** Lets time pass, as the reactor sees it. */
  const pass = (ms: number) => {
    for (const end = clock.now + ms; clock.now < end;) {
      clock.now += Math.min(50, end - clock.now);
      rig.turn();
    }
  };
  // The rule of every line here: an input once the guest is gone.
  for (const port of rig.ports) {
    port.onSubmit = ({ operation, argument }) => {
      if (
        operation === LineOperation.Deactivate &&
        argument === Departure.GuestGone
      ) port.direction = Direction.Input;
    };
  }
  rig.negotiate();
  rig.startRings();
  return { rig, pass };
}

function stop(rig: VhostRig): number[] {
  return [0, 1].map((index) => rig.takeBase(index));
}

Deno.test("a driver that is stopped for less than the limit is paused", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.armLine(0, BOTH);
  const bases = stop(rig);
  pass(2900);
  rig.ports[0]!.pull(1);
  assertEquals(rig.device.resets, 0);
  rig.startRings(bases);
  pass(10_000);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  assertEquals(rig.device.resets, 0);
  assertEquals(rig.log, ["connected", "started", "stopped", "started"]);
});

Deno.test("a driver that stays stopped is gone after the limit, once", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.gpio(SET_DIRECTION, 1, OUT);
  stop(rig);
  pass(2900);
  assertEquals(rig.device.resets, 0);
  pass(200);
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.ports[1]!.direction, Direction.Input);
  assertEquals(
    rig.log.at(-1),
    "guest gone: its driver stopped and did not go on within 3 s (paused-for)",
  );
  const told = rig.log.length;
  pass(10_000);
  assertEquals([rig.device.resets, rig.log.length], [1, told]);
  // The next driver begins with nothing.
  rig.guest.boot();
  rig.startRings();
  rig.armLine(0, BOTH);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  assertEquals(rig.device.begun, [true, true]);
  rig.hangUp();
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
});

Deno.test("rings that are only disabled are stopped as well", () => {
  const { rig, pass } = begin({ pausedFor: 1000 });
  using _rig = rig;
  for (const index of [1, 0]) rig.enable(index, 0);
  pass(1100);
  assertEquals(rig.device.resets, 1);
  for (const index of [0, 1]) rig.enable(index);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("one ring that stops is no driver that stopped", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.takeBase(1);
  pass(10_000);
  assertEquals(rig.device.resets, 0);
});

Deno.test("with keep only another driver, or the VMM's end, is an end", () => {
  const { rig, pass } = begin({ pausedFor: "keep" });
  using _rig = rig;
  const bases = stop(rig);
  pass(1_000_000);
  assertEquals(rig.device.resets, 0);
  rig.startRings(bases);
  assertEquals(rig.device.resets, 0);
});

for (const hasLog of [false, true]) {
  Deno.test(
    `a guest that goes on after it counted as gone is served, and drives nothing unasked (${
      hasLog ? "in-flight log" : "no log"
    })`,
    () => {
      const { rig, pass } = begin();
      using _rig = rig;
      using region = InflightFile.get(rig);
      if (hasLog) {
        const bases = stop(rig);
        region.set(rig);
        rig.startRings(bases);
      }
      rig.armLine(0, BOTH);
      rig.gpio(SET_DIRECTION, 1, OUT);
      rig.gpio(SET_VALUE, 1, 1);
      const bases = stop(rig);
      pass(3100);
      assertEquals(rig.ports[1]!.direction, Direction.Input);
      rig.ports[1]!.calls.length = 0;
      rig.startRings(bases);
      assertEquals(rig.device.begun.at(-1), false);
      assertStringIncludes(
        rig.log.at(-1)!,
        "started: it was paused for longer",
      );
      // Its interrupt is armed as it was.
      rig.ports[0]!.pull(1);
      assertEquals(rig.guest.interrupts(), [[0, 1]]);
      assertEquals(rig.ports[1]!.history, []);
      assertEquals(rig.gpio(SET_VALUE, 1, 1), [0, 0]);
      assertEquals([rig.ports[1]!.direction, rig.ports[1]!.level], [OUT, 1]);
      // And it may pause again.
      rig.guest.arm(0);
      rig.guest.kick(1);
      rig.turn();
      rig.startRings(stop(rig));
      rig.ports[0]!.pull(0);
      assertEquals(rig.guest.interrupts(), [[0, 1]]);
      assertEquals(rig.device.resets, 1);
    },
  );
}

Deno.test("a guest that counted as gone and is another one afterwards gets nothing of it", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.armLine(0, BOTH);
  stop(rig);
  pass(3100);
  rig.guest.boot();
  rig.startRings();
  assertEquals(rig.device.begun, [true, true]);
  rig.guest.arm(0);
  rig.guest.kick(1);
  rig.turn();
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), []);
});

Deno.test("rings that are written to while they are stopped are not resumed", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.gpio(GET_VALUE, 0);
  stop(rig);
  pass(300);
  assertEquals(rig.device.resets, 0);
  rig.guest.boot();
  pass(100);
  assertEquals(rig.device.resets, 1);
  assertStringIncludes(rig.log.at(-1)!, "is used for something else");
});

Deno.test("a VMM that runs its guest shortens the wait, one at rest does not", () => {
  let guestMs = 0;
  const peerTimes = (): PeerTimes => ({
    pid: 1,
    process: {
      name: "vmm",
      busyMs: 0,
      guestMs,
      startTime: 1,
      threadCount: 1,
    },
    threads: new Map(),
  });
  const { rig, pass } = begin({ peerTimes });
  using _rig = rig;
  const bases = stop(rig);
  pass(1000);
  rig.startRings(bases);
  // It runs: the guest is not checked.
  guestMs = 10_000;
  pass(1000);
  stop(rig);
  pass(200);
  assertEquals(rig.device.resets, 0);
  guestMs += 100;
  pass(100);
  assertEquals(rig.device.resets, 1);
  assertStringIncludes(rig.log.at(-1)!, "its virtual CPUs ran for 100 ms");
});

Deno.test("a reset of the device ends the wait", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  stop(rig);
  rig.must(R.RESET_DEVICE);
  pass(10_000);
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.log.slice(2), [
    "stopped",
    "guest gone: its VMM reset the device",
  ]);
});

Deno.test("a session's end ends the wait", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  stop(rig);
  rig.hangUp();
  assertEquals(rig.device.resets, 1);
  const told = rig.log.length;
  pass(10_000);
  assertEquals([rig.device.resets, rig.log.length], [1, told]);
});

Deno.test("a second SET_OWNER on a connection begins a new session", () => {
  const { rig, pass } = begin();
  using _rig = rig;
  rig.armLine(0, BOTH);
  rig.must(R.SET_STATUS, new Uint8Array([15, 0, 0, 0, 0, 0, 0, 0]));
  stop(rig);
  // device_del; then device_add, with a guest that was rebooted or not.
  const before = rig.log.length;
  rig.must(R.SET_OWNER);
  assertEquals(rig.log.slice(before), [
    "guest gone: its VMM began a new session",
  ]);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.askU64(R.GET_STATUS), 0n);
  // The rings of the last session are not set up any more.
  assertEquals(rig.tell(R.SET_VRING_ENABLE, u32(0, 1)), 0);
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  assertEquals(rig.device.begun, [true, true]);
  // Nothing of the last session ends this one.
  pass(10_000);
  assertEquals(rig.device.resets, 1);
});

Deno.test("a second SET_OWNER under running rings ends them", () => {
  const { rig } = begin();
  using _rig = rig;
  rig.gpio(GET_VALUE, 0);
  rig.must(R.SET_OWNER);
  assertEquals(rig.log.slice(2), [
    "stopped",
    "guest gone: its VMM began a new session",
  ]);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
});
