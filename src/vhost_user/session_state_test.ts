/**
 * State that a guest's driver sets once and never again, kept with what is in
 * flight:
 * a guest that never noticed a lost connection goes on, any other begins anew.
 */
import { assert, assertEquals } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import {
  description,
  InflightFile,
  QUEUE_BYTES,
  QUEUE_SIZE,
} from "../../tests/doubles/vhost_inflight.ts";
import { R } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { rounds } from "../../tests/environment/rounds.ts";
import { LineOperation } from "../line/port.ts";

const NONE = 0;
const RISING = 1;
const BOTH = 3;
const HIGH = 4;
const OUT = 1;
const IN = 2;
const SET_DIRECTION = 3;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
/** Behind the head, one word for each line. */
const WORDS_AT = 16;

function word(region: InflightFile, line: number): number {
  const { tail } = region;
  return new DataView(tail.buffer, tail.byteOffset)
    .getUint16(WORDS_AT + 2 * line, true);
}

/** A guest with the region in use and rings that run. */
function begin(rig: VhostRig): InflightFile {
  rig.negotiate();
  const region = InflightFile.get(rig);
  region.set(rig);
  rig.startRings();
  return region;
}

/** The next session, of a guest that does not notice. */
function goOn(
  rig: VhostRig,
  region: InflightFile,
  bases: readonly number[] = rig.guest.rings.map((ring) => ring.usedIndex()),
): void {
  rig.reconnect();
  rig.negotiate();
  region.set(rig);
  rig.startRings(bases);
}

const BASES: Record<string, (rig: VhostRig) => number[]> = {
  "QEMU sets used.idx": (rig) => rig.guest.rings.map((r) => r.usedIndex()),
  "Cloud Hypervisor sets avail.idx": (rig) =>
    rig.guest.rings.map((ring) => ring.availIndex),
};

for (const [what, basesOf] of Object.entries(BASES)) {
  Deno.test(`after a reconnect interrupts are still enabled (${what})`, () => {
    using rig = new VhostRig();
    using region = begin(rig);
    rig.armLine(0, BOTH);
    rig.armLine(1, HIGH);
    assertEquals(rig.gpio(SET_IRQ_TYPE, 2, RISING), [0, 0]);
    rig.ports[2]!.pull(1); // masked: the edge waits
    assertEquals(rig.guest.interrupts(), []);
    goOn(rig, region, basesOf(rig));
    assertEquals(rig.device.resets, 1);
    rig.ports[0]!.pull(1);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
    rig.ports[1]!.pull(1);
    assertEquals(rig.guest.interrupts(), [[1, 1]]);
    rig.guest.arm(2);
    rig.guest.kick(1);
    rig.turn();
    assertEquals(rig.guest.interrupts(), [[2, 1]]);
    // And once more: the state was taken over, not used up.
    rig.guest.arm(0);
    rig.guest.kick(1);
    rig.turn();
    goOn(rig, region, basesOf(rig));
    rig.ports[0]!.pull(0);
    assertEquals(rig.guest.interrupts(), [[0, 1]]);
    rig.hangUp();
    assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  });
}

Deno.test("a level that came while the guest was not served is seen", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, HIGH);
  rig.hangUp();
  rig.ports[0]!.pull(1);
  rig.peer = rig.connect();
  rig.negotiate();
  region.set(rig);
  rig.startRings(rig.guest.rings.map((ring) => ring.usedIndex()));
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
});

Deno.test("an interrupt that was switched off stays off", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, BOTH);
  assertEquals(rig.gpio(SET_IRQ_TYPE, 0, NONE), [0, 0]);
  assertEquals(rig.guest.interrupts(), [[0, 0]]);
  goOn(rig, region);
  rig.guest.arm(0);
  rig.guest.kick(1);
  rig.turn();
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), []);
});

Deno.test("a guest that was rebooted meanwhile does not inherit, though the region is the same", () => {
  for (const wasArmed of [false, true]) {
    for (const arms of [0, 1, 3]) {
      using rig = new VhostRig();
      using region = begin(rig);
      rig.gpio(SET_IRQ_TYPE, 0, BOTH);
      if (wasArmed) rig.armLine(1, BOTH);
      rig.reconnect();
      rig.guest.boot();
      for (let line = 0; line < arms; line++) rig.guest.arm(line);
      rig.negotiate();
      region.set(rig);
      rig.startRings();
      assertEquals([word(region, 0), word(region, 1)], [0, 0]);
      assertEquals(rig.ports.map((port) => port.edges), [0, 0, 0, 0]);
      // What the log says of a ring that is another guest's is its frontend's
      // fault; without that, the new guest is served in full.
      if (wasArmed) continue;
      rig.ports[0]!.pull(1);
      assertEquals(rig.guest.interrupts(), []);
      rig.gpio(SET_IRQ_TYPE, 0, BOTH);
      if (arms === 0) rig.guest.arm(0);
      rig.guest.kick(1);
      rig.turn();
      rig.ports[0]!.pull(0);
      assertEquals(rig.guest.interrupts(), [[0, 1]]);
    }
  }
});

Deno.test("a reboot within the session, or a reset of the device, erases what was kept", () => {
  for (const isReset of [false, true]) {
    using rig = new VhostRig();
    using region = begin(rig);
    rig.armLine(0, BOTH);
    assertEquals(word(region, 0) & 0xf, BOTH);
    if (isReset) rig.must(R.RESET_DEVICE);
    else {
      rig.takeBase(0);
      rig.takeBase(1);
      rig.guest.boot();
      rig.startRings();
      assertEquals(rig.guest.responses(), []);
    }
    assertEquals(word(region, 0), 0);
    rig.reconnect();
    assertEquals(word(region, 0), 0);
  }
});

Deno.test("a reset before any ring runs erases what an earlier session kept", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, BOTH);
  rig.reconnect();
  rig.negotiate();
  region.set(rig);
  assertEquals(word(region, 0) & 0xf, BOTH);
  rig.must(R.RESET_DEVICE);
  rig.reconnect();
  rig.negotiate();
  region.set(rig);
  rig.startRings(rig.guest.rings.map((ring) => ring.usedIndex()));
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), []);
});

Deno.test("a pause keeps the state where it is, and a new region learns it", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, BOTH);
  const bases = [rig.takeBase(0), rig.takeBase(1)];
  using other = InflightFile.get(rig);
  other.set(rig);
  rig.startRings(bases);
  assertEquals(word(other, 0), word(region, 0));
  // The first one has no owner any more.
  rig.gpio(SET_IRQ_TYPE, 1, RISING);
  assertEquals(word(region, 1), 0);
  assertEquals(word(other, 1) & 0xf, RISING);
  goOn(rig, other);
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
});

Deno.test("a region without room for the state works as ever", () => {
  using rig = new VhostRig();
  using file = createMemFd("region", 2 * QUEUE_BYTES);
  const small = description(2, QUEUE_SIZE, 2 * QUEUE_BYTES);
  rig.negotiate();
  rig.must(R.SET_INFLIGHT_FD, small, [file.fd]);
  rig.startRings();
  rig.armLine(0, BOTH);
  rig.reconnect();
  rig.negotiate();
  rig.must(R.SET_INFLIGHT_FD, small, [file.fd]);
  rig.startRings(rig.guest.rings.map((ring) => ring.usedIndex()));
  rig.ports[0]!.pull(1);
  assertEquals(rig.guest.interrupts(), []);
  rig.gpio(SET_IRQ_TYPE, 0, BOTH);
  rig.ports[0]!.pull(0);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
});

Deno.test("another device's guest state is ignored", () => {
  // The same size of region: 16 + 2 × 7 bytes are rounded up to those of 8.
  using first = new VhostRig({ lines: 7 });
  using region = begin(first);
  first.armLine(0, BOTH);
  first.reconnect();
  using second = new VhostRig({ lines: 8 });
  second.negotiate();
  region.set(second);
  // The guest, its rings and their logs are the same; the device is not.
  second.setMemory(first.guest);
  second.startRings(
    first.guest.rings.map((ring) => ring.usedIndex()),
    first.guest,
  );
  assertEquals(second.ports[0]!.edges, 0);
  assertEquals(second.ports.flatMap((port) => port.history), []);
  assertEquals(word(region, 0), 0);
});

Deno.test("the next process's backend takes over what the last one kept", () => {
  using first = new VhostRig();
  using region = begin(first);
  first.armLine(0, BOTH);
  first.gpio(SET_DIRECTION, 1, OUT);
  first.gpio(SET_VALUE, 1, 1);
  first.gpio(SET_DIRECTION, 2, IN);
  using second = new VhostRig();
  second.negotiate();
  region.set(second);
  second.setMemory(first.guest);
  second.startRings(
    first.guest.rings.map((ring) => ring.usedIndex()),
    first.guest,
  );
  // The output is an input here, and is not driven before the driver does it.
  assertEquals(second.ports[1]!.history, []);
  first.guest.request(SET_VALUE, 1, 1);
  first.guest.kick(0);
  second.turn();
  assertEquals(first.guest.responses(), [[0, 0]]);
  assertEquals(second.ports[1]!.direction, OUT);
  assertEquals(second.ports[1]!.level, 1);
  second.ports[0]!.pull(1);
  assertEquals(first.guest.interrupts(), [[0, 1]]);
});

Deno.test("lines that move after the session's end touch no memory of it", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, BOTH);
  const before = word(region, 0);
  rig.hangUp();
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  rig.device.edge(0, 1);
  rig.device.reset();
  assertEquals(word(region, 0), before);
});

Deno.test("whatever a frontend writes into the tail, the guest is served and nothing is driven", () => {
  using rig = new VhostRig();
  using region = begin(rig);
  rig.armLine(0, BOTH);
  const intact = region.tail.slice();
  let seed = 1;
  for (let round = 0; round < rounds(64, 24); round++) {
    rig.reconnect();
    region.tail.set(intact);
    // Every second time the head is left, so that the words are believed.
    for (let at = round % 2 * WORDS_AT; at < region.tail.length; at++) {
      seed = Math.imul(seed, 1664525) + 1013904223 >>> 0;
      region.tail[at] = round < 4 ? 0xff : seed >>> 24;
    }
    rig.negotiate();
    region.set(rig);
    rig.startRings(rig.guest.rings.map((ring) => ring.usedIndex()));
    for (const { operation } of rig.ports.flatMap((port) => port.calls)) {
      assert(
        operation !== LineOperation.Output &&
          operation !== LineOperation.SetValue,
        "a line is driven",
      );
    }
    assertEquals(rig.gpio(SET_IRQ_TYPE, 3, NONE), [0, 0]);
  }
});
