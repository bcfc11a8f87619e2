/**
 * Chips that are unplugged and come back under running guests, also under
 * another number, in the reactor and in a lane.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";
import { MovingChip } from "./moving_chip.ts";

const EVENT_LIMIT_MS = 120_000;
const QUIET_MS = 200;
/** CPU time of a service that is not at rest, in 2 s. **Units**: seconds. */
const BUSY_S = 0.2;
/** Windows of which one must be quiet. */
const WINDOWS = 5;

/** User and system time of a process and its threads. **Units**: seconds. */
function cpuSeconds(pid: number): number {
  const stat = readSmallFile(`/proc/${pid}/stat`)!;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

for (const lane of [false, true]) {
  const how = lane ? "in a lane" : "in the reactor";

  Deno.test(`a chip that is unplugged comes back under its guest (${how})`, async () => {
    await using chip = await MovingChip.create("panel", 4);
    await using service = await ConfigService.start((directory) => `
defaults: { lane: ${lane} }
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines:
      - { chip: panel, offset: 0, as: OUT }
      - { chip: panel, offset: 1, as: EDGE }
      - { chip: panel, offset: 2, as: LEVEL }
      - { chip: panel, offset: 3, as: SAFE, safe: 1 }
`);
    using guest = service.guest("a");
    const { driver } = guest;
    driver.setOutput(0, 1, Direction.Output);
    driver.setOutput(3, 0, Direction.Output);
    driver.setInterruptType(1, IrqType.EdgeBoth);
    driver.setInterruptType(2, IrqType.LevelHigh);
    driver.arm(1);
    driver.arm(2);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    assertEquals(await chip.level(0), 1);
    const before = chip.name;

    await chip.unplug();
    await service.heard("unplugged", 4);
    assertThrows(() => driver.getValue(1), RequestRefused);
    assertThrows(() => driver.setValue(0, 0), RequestRefused);
    // A host under load charges this kernel for time in which it did not run;
    // a loop that spins is busy in every window.
    const used: number[] = [];
    // In this process others are busy too.
    const isAlone = service.process.pid !== Deno.pid;
    do {
      const before = cpuSeconds(service.process.pid);
      assertEquals(driver.waitEvent(2000), undefined, "armed buffers wait");
      used.push(cpuSeconds(service.process.pid) - before);
    } while (isAlone && used.at(-1)! >= BUSY_S && used.length < WINDOWS);
    assert(
      !isAlone || used.at(-1)! < BUSY_S,
      `busy for ${used} s of 2 s each while the chip was away`,
    );

    // Something else has its number by then.
    await using other = await SimChip.create(localFiles, {
      label: "stranger",
      lines: 4,
    });
    assertEquals(other.name, before);
    await chip.plug();
    assert(chip.name !== before);
    await service.heard("plugged", 4);
    assertEquals(await chip.level(0), 1, "its last value");
    assertEquals(await other.level(0), 0, "the foreign chip is not driven");
    assertEquals(driver.getValue(0), 1);
    driver.setValue(0, 0);
    assertEquals(await chip.level(0), 0);

    await chip.pull(2, "up");
    assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
    await chip.pull(1, "up");
    assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
  });

  Deno.test(`an interrupt that was due while the chip was away comes with it (${how})`, async () => {
    await using chip = await MovingChip.create("late", 3);
    await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines:
      - { chip: late, offset: 0, direction: input, lane: ${lane} }
      - { chip: late, offset: 1, direction: input, lane: ${lane} }
      - { chip: late, offset: 2, direction: input, lane: ${lane}, active-low: true }
`);
    using guest = service.guest("a");
    const { driver } = guest;
    await chip.pull(0, "up");
    driver.setInterruptType(0, IrqType.EdgeFalling);
    driver.setInterruptType(1, IrqType.EdgeFalling);
    driver.setInterruptType(2, IrqType.LevelLow);
    for (const line of [0, 1]) driver.arm(line);
    await chip.unplug();
    await service.heard("unplugged", 3);
    driver.arm(2);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    // A simulated chip forgets its pulls: line 0 is low again, as 1 always was.
    await chip.plug();
    await service.heard("plugged", 3);
    assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    await chip.pull(2, "up");
    assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
  });

  Deno.test(`an optional chip may come after its guest, a missing one may not (${how})`, async () => {
    await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    defaults: { optional: true, lane: ${lane} }
    lines:
      - { chip: { label: later, lines: 3 }, offset: 0, as: OUT, direction: output, initial: 1 }
      - { chip: { label: later }, offset: 1, as: IN, direction: input, active-low: true }
      - { chip: { label: later }, offset: 2, as: ANY }
      - { sim: 1, as: HERE }
`);
    using guest = service.guest("a");
    const { driver } = guest;
    assertThrows(() => driver.getValue(0), RequestRefused);
    assertThrows(() => driver.getValue(1), RequestRefused);
    assertEquals(driver.getValue(3), 0);
    {
      await using chip = await MovingChip.create("later", 3);
      await service.heard("plugged", 3);
      assertEquals(await chip.level(0), 1, "its initial value");
      assertEquals(driver.getValue(1), 1, "active-low");
      driver.setValue(0, 0);
      assertEquals(await chip.level(0), 0);
    }
    await service.heard("unplugged", 3);
    assertThrows(() => driver.getValue(1), RequestRefused);
  });

  Deno.test(`a guest that goes while its chip is away leaves a safe line (${how})`, async () => {
    await using chip = await MovingChip.create("safety", 2);
    await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    defaults: { lane: ${lane} }
    lines:
      - { chip: safety, offset: 0, direction: output, safe: 1 }
      - { chip: safety, offset: 1, on-disconnect: input }
`);
    {
      using guest = service.guest("a");
      guest.driver.setValue(0, 0);
      guest.driver.setOutput(1, 1, Direction.Output);
      await chip.unplug();
      await service.heard("unplugged", 2);
    }
    await service.heard("disconnected");
    await chip.plug();
    await service.heard("plugged", 2);
    await until("the safe state", async () => await chip.level(0) === 1);
    using guest = service.guest("a");
    assertEquals(guest.driver.getDirection(1), Direction.Input);
    await chip.pull(1, "up");
    await until("the input is read", () => guest.driver.getValue(1) === 1);
  });
}

Deno.test("a chip that is named by number is not taken for another one", async () => {
  await using chip = await MovingChip.create("numbered", 2);
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines: [ { chip: ${chip.name}, offset: 1, direction: output, initial: 1 } ]
`);
  using guest = service.guest("a");
  const before = chip.name;
  await chip.unplug();
  await service.heard("unplugged");
  await using stranger = await SimChip.create(localFiles, {
    label: "other",
    lines: 2,
  });
  assertEquals(stranger.name, before);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals(await stranger.level(1), 0);
  assertThrows(() => guest.driver.setValue(0, 1), RequestRefused);
  await chip.plug();
  await service.heard("plugged");
  assertEquals(await chip.level(1), 1);
  assertEquals(await stranger.level(1), 0);
});

Deno.test("a shared input and a combined output come back for all of their users", async () => {
  await using chip = await MovingChip.create("common", 2);
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines: [ "common/0,shared", "common/1,combine=or", "copy/a.sim0", "sim/1" ]
  b:
    vhost-user: ${directory}/b.sock
    lines: [ "common/0,shared", "common/1,combine=or" ]
`);
  using a = service.guest("a");
  using b = service.guest("b");
  for (const { driver } of [a, b]) {
    driver.setInterruptType(0, IrqType.EdgeRising);
    driver.arm(0);
    driver.setValue(1, 1);
  }
  await chip.unplug();
  await service.heard("unplugged", 4);
  b.frontend[Symbol.dispose]();
  await service.heard("disconnected");
  await chip.plug();
  await service.heard("plugged", 4);
  assertEquals(await chip.level(1), 1);
  await chip.pull(0, "up");
  assertEquals(a.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
  a.driver.setValue(1, 0);
  assertEquals(await chip.level(1), 0, "b's vote went with it");
});
