import { assert, assertEquals, assertThrows } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { EventCount } from "../../src/virtio/gpio/counters.ts";
import { GpioDevice } from "../../src/virtio/gpio/device.ts";
import { SplitQueue } from "../../src/virtio/queue/split_queue.ts";
import { ModelPort } from "../doubles/model_port.ts";
import { RingDriver } from "../doubles/ring_driver.ts";
import { runRingFuzz } from "./ring_fuzz.ts";
import { FuzzChecks } from "./ring_fuzz_checks.ts";
import { runModelFuzz } from "./ring_fuzz_model.ts";
import { Random } from "./ring_fuzz_random.ts";
import { FuzzMemory, REGIONS, type RingState } from "./ring_fuzz_world.ts";

Deno.test("The ring fuzzer finds nothing, and reaches what it should", () => {
  const steps = rounds(8000, 4000);
  const report = runRingFuzz({ seed: 20260101, iterations: steps });
  assertEquals(report.steps, steps);
  assert(report.returned > steps / 8, `${report.returned} entries came back`);
  assert(report.refused > steps / 80, `${report.refused} chains were refused`);
  assert(report.faults > steps / 800, `${report.faults} rings were malformed`);
  assert(report.delivered > steps / 400, `${report.delivered} interrupts came`);
});

Deno.test("The device agrees with the reference, whatever the guest asks", () => {
  const steps = rounds(6000, 3000);
  const report = runModelFuzz({ seed: 20260102, iterations: steps });
  assert(report.requests > 4 * steps / 3, `${report.requests} requests`);
  assert(report.events > steps / 6, `${report.events} events`);
});

Deno.test("Both fuzzers repeat a run exactly", () => {
  for (const run of [runRingFuzz, runModelFuzz]) {
    const options = { seed: 7, iterations: 1000 };
    assertEquals(run(options) as unknown, run(options) as unknown);
  }
});

Deno.test("Random spreads over its range and repeats its sequence", () => {
  const seen = new Set<number>();
  const random = new Random(1);
  for (let i = 0; i < 2000; i++) seen.add(random.below(100));
  assertEquals(seen.size, 100);
  assertEquals(new Random(3).uint32(), new Random(3).uint32());
  for (let i = 0; i < 100; i++) {
    const pieces = random.cut(8, 4);
    assertEquals(pieces.reduce((sum, piece) => sum + piece, 0), 8);
  }
});

/** A world in which the test itself plays a device that does wrong. */
function world() {
  const memory = new FuzzMemory();
  const port = new ModelPort();
  const device = new GpioDevice([port]);
  const driver = new RingDriver({
    memory: memory.buffer,
    guestAddress: REGIONS[0][0],
    offset: 0,
    size: 4,
  });
  const queue = SplitQueue.create({
    memory: memory.guest,
    size: 4,
    descriptorAddress: driver.descriptorAddress,
    availAddress: driver.availAddress,
    usedAddress: driver.usedAddress,
    features: 0n,
    nextAvail: 0,
    notify: () => {},
  });
  if (typeof queue === "string") throw new Error(queue);
  const ring: RingState = {
    index: 0,
    driver,
    queue,
    log: undefined,
    taken: new Int32Array(4),
    returned: new Int32Array(4),
    nextAvail: 0,
    nextUsed: 0,
    isTainted: false,
  };
  const buffer = { address: memory.address(0x800), length: 8, writable: true };
  driver.add([buffer]);
  driver.publish();
  const checks = new FuzzChecks(memory, device, [port], [ring]);
  return { memory, device, driver, queue, checks };
}

Deno.test("The fuzzer's checks see a device that does wrong", () => {
  const { memory, driver, queue, checks } = world();
  const usedAt = driver.parts[2]!.offset;
  const wrongs: [what: string, wrong: () => void][] = [
    ["memory was written at offset 0x7ff", () => memory.bytes[0x7ff] = 1],
    ["memory was written at offset 0x808", () => memory.bytes[0x808] = 1],
    ["memory was written at offset 0xa000", () => memory.bytes[0xa000] = 1],
    ["came back with length 3", () => {
      memory.view.setUint32(usedAt + 8, 3, true);
      memory.view.setUint16(usedAt + 2, 1, true);
    }],
    ["head 9 came back", () => {
      memory.view.setUint32(usedAt + 4, 9, true);
      memory.view.setUint16(usedAt + 2, 1, true);
    }],
    ["was taken 0 times and came back 1 times", () => {
      memory.view.setUint32(usedAt + 4, 0, true);
      memory.view.setUint32(usedAt + 8, 0, true);
      memory.view.setUint16(usedAt + 2, 1, true);
    }],
  ];
  for (const [what, wrong] of wrongs) {
    assertThrows(() => checks.call(wrong), Error, what);
  }
  const good = world();
  good.checks.call(() => {
    good.queue.pop();
    good.memory.bytes[0x807] = 1;
  });
  assertThrows(
    () =>
      good.checks.call(() =>
        good.device.counters.countEvent(0, EventCount.Delivered)
      ),
    Error,
    "line 0 interrupted",
  );
  queue.close();
});
