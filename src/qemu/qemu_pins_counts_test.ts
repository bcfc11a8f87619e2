import { assert, assertEquals } from "@std/assert";
import { pinsRig } from "../../tests/doubles/pins_rig.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";

Deno.test("QemuPins measures a request from when it was seen to when the line is done", () => {
  using it = pinsRig({ rules: ["any"] });
  const { gpio } = it.boot();
  it.port.slow = true;
  gpio.setDirections(1);
  gpio.setData(1);
  it.turn();
  gpio.setData(0);
  it.turn();
  it.clock.now += 5;
  it.port.finish();
  it.clock.now += 2;
  it.port.finish();
  assertEquals(it.requests.splice(0), [
    "0 set_direction ok after 5 ms",
    "0 set_value ok after 5 ms",
    "0 set_value ok after 7 ms",
  ]);
  // Not reported: seen at the next look, which is due in 13 ms.
  gpio.setDirections(0);
  it.pass(20);
  it.clock.now += 3;
  while (it.port.isPending) it.port.finish();
  assertEquals(it.requests, ["0 set_direction ok after 3 ms"]);
});

Deno.test("QemuPins counts what it hands to pins, what they report, and resets", () => {
  using it = pinsRig();
  const qemu = it.boot();
  assertEquals([...it.pins.counters.levels], [1, 1]);
  it.port.pull(1);
  it.port.pull(0);
  qemu.gpio.setDirections(2);
  qemu.gpio.setData(2);
  it.turn();
  assertEquals([...it.pins.counters.levels], [3, 1]);
  assertEquals(it.pins.counters.reports, 1);
  // The pin of a line that the guest drives is not told of it.
  it.ports[1]!.pull(1);
  qemu.reset();
  it.turn();
  assertEquals(it.pins.counters.resets, 1);
  assertEquals([...it.pins.counters.levels], [4, 2]);
  it.kill();
  it.boot();
  assertEquals(it.pins.counters.levels[0], 5);
  assertEquals(it.pins.counters.resets, 1);
});

testLarge("QemuPins says what a line that is too slow has not done", () => {
  using it = pinsRig({ rules: ["any"] });
  const { gpio } = it.boot();
  it.port.slow = true;
  gpio.setDirections(1);
  it.pass(40);
  const changes = 70_000;
  for (let i = 1; i <= changes; i++) {
    gpio.setData(i & 1);
    if (i % 5000 === 0) it.turn(6);
  }
  it.turn();
  const lost = it.pins.counters.lostRequests[0]!;
  assert(lost > 0 && lost < changes, `${lost} lost`);
  assertEquals(it.requests.length, lost);
  assert(it.requests.every((request) => request.includes("value error")));
  while (it.port.isPending) it.port.finish();
  assertEquals(it.port.level, changes & 1);
  // One more: the pin became an output first.
  assertEquals(it.requests.length, changes + 2);
});
