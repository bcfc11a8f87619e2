/**
 * A configuration file on simulated chips: what its rules do is seen on the
 * chips' side, by guests of our own.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";

const EVENT_LIMIT_MS = 120_000;
/** Long enough for an event that must not come. */
const QUIET_MS = 200;

async function twoChips() {
  const stack = new AsyncDisposableStack();
  const io = stack.use(
    await SimChip.create(localFiles, {
      label: "io",
      lines: 8,
      names: { 0: "ESTOP" },
    }),
  );
  const relays = stack.use(
    await SimChip.create(localFiles, { label: "relays", lines: 8 }),
  );
  return { io, relays, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Three aggregators; with `lane`, their chips have threads of their own. */
function plant(directory: string, lane = false): string {
  return `
defaults: { lane: ${lane} }
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines:
      - { line: ESTOP, shared: true, as: ESTOP }
      - { chip: { label: relays }, offset: 0, as: FORWARD, direction: output,
          safe: 0, min-interval: 3s }
      - { chip: { label: relays }, offset: 1, as: LAMP, combine: or }
      - { chip: relays, offset: 2, as: HEATER, direction: output, safe: 0,
          safe-after: 1s }
      - { sim: 1, as: READY }
  plc1:
    vhost-user: ${directory}/plc1.sock
    lines:
      - { line: ESTOP, shared: true, as: ESTOP, active-low: true }
      - { chip: relays, offset: 3, as: REVERSE, direction: output, safe: 0 }
      - { chip: relays, offset: 1, as: LAMP, combine: or }
      - { wire: plc0.READY, as: PEER }
      - { invert: plc0.FORWARD, as: STOPPED }
  hmi:
    vhost-user: ${directory}/hmi.sock
    lines:
      - { chip: io, offset: 1, as: BUTTON, direction: input, bias: pull-up }
      - { copy: plc0.HEATER, as: HEATING }
      - { const: 1, as: ON }
      - sim/2
interlocks:
  - exclusive: [plc0.FORWARD, plc1.REVERSE]
`;
}

const ESTOP = 0;
const FORWARD = 1;
const LAMP = 2;
const HEATER = 3;
const READY = 4;
const REVERSE = 1;
const PEER = 3;
const STOPPED = 4;

for (const lane of [false, true]) {
  const how = lane ? "in lanes" : "in the reactor";
  const config = (directory: string) => plant(directory, lane);

  Deno.test(`a shared emergency stop interrupts every guest at once (${how})`, async () => {
    await using chips = await twoChips();
    await using service = await ConfigService.start(config);
    using plc0 = service.guest("plc0");
    using plc1 = service.guest("plc1");
    plc0.driver.setInterruptType(ESTOP, IrqType.EdgeRising);
    plc0.driver.arm(ESTOP);
    // The same wire, active-low there: it falls when the other one's rises.
    plc1.driver.setInterruptType(ESTOP, IrqType.EdgeFalling);
    plc1.driver.arm(ESTOP);
    await chips.io.pull(0, "up");
    for (const { driver } of [plc0, plc1]) {
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, ESTOP);
    }
    assertEquals(plc0.driver.getValue(ESTOP), 1);
    assertEquals(plc1.driver.getValue(ESTOP), 0);
    plc0.driver.arm(ESTOP);
    plc1.driver.arm(ESTOP);
    await chips.io.pull(0, "down");
    for (const { driver } of [plc0, plc1]) {
      assertEquals(driver.waitEvent(QUIET_MS), undefined);
    }
    // One guest that stops listening leaves the other its interrupts.
    plc0.driver.setInterruptType(ESTOP, IrqType.None);
    await chips.io.pull(0, "up");
    assertEquals(plc1.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, ESTOP);
  });

  Deno.test(`an output combined by or is active while any guest wants it, and past the death of one (${how})`, async () => {
    await using chips = await twoChips();
    await using service = await ConfigService.start(config);
    const lamp = () => chips.relays.level(1);
    using plc1 = service.guest("plc1");
    {
      using plc0 = service.guest("plc0");
      plc0.driver.setValue(LAMP, 1);
      assertEquals(await lamp(), 1);
      plc1.driver.setValue(LAMP, 1);
      plc0.driver.setValue(LAMP, 0);
      assertEquals(await lamp(), 1, "plc1 wants it");
      plc0.driver.setValue(LAMP, 1);
      plc1.driver.setValue(LAMP, 0);
      assertEquals(await lamp(), 1, "plc0 wants it");
    }
    await until(
      "the lamp is off: who wanted it is dead",
      async () => await lamp() === 0,
    );
    {
      using plc0 = service.guest("plc0");
      plc0.driver.setValue(LAMP, 1);
      plc1.driver.setValue(LAMP, 1);
    }
    await service.heard("disconnected", 2);
    assertEquals(await lamp(), 1, "plc1 lives and wants it");
    plc1.driver.setValue(LAMP, 0);
    assertEquals(await lamp(), 0);
    using plc0 = service.guest("plc0");
    {
      using _force = await new ServiceClient(service.api).force("plc1", {
        lines: { LAMP: 0 },
        for: "1h",
        reason: "new lamp",
      });
      plc0.driver.setValue(LAMP, 1);
      assertEquals(await lamp(), 0, "an operator has it off");
    }
    await until(
      "the lamp is as plc0 wants it",
      async () => await lamp() === 1,
    );
  });

  Deno.test(`an interlock, a minimum interval and a direction are refused and told (${how})`, async () => {
    await using chips = await twoChips();
    await using service = await ConfigService.start(config);
    using plc0 = service.guest("plc0");
    using plc1 = service.guest("plc1");
    plc0.driver.setValue(FORWARD, 1);
    assertEquals(await chips.relays.level(0), 1);
    assertThrows(() => plc1.driver.setValue(REVERSE, 1), RequestRefused);
    assertEquals(await chips.relays.level(3), 0);
    assertThrows(() => plc0.driver.setValue(FORWARD, 0), RequestRefused);
    assertEquals(await chips.relays.level(0), 1, "it has just changed");
    await new Promise((resolve) => setTimeout(resolve, 3100));
    plc0.driver.setValue(FORWARD, 0);
    assertEquals(await chips.relays.level(0), 0);
    plc1.driver.setValue(REVERSE, 1);
    assertEquals(await chips.relays.level(3), 1);
    assertThrows(
      () => plc1.driver.setDirection(REVERSE, Direction.Input),
      RequestRefused,
    );
    const refused = await service.heard("refused", 3);
    assertEquals(
      refused.map(({ aggregator, detail }) => `${aggregator}: ${detail}`),
      [
        "plc1: REVERSE: plc0.FORWARD is active, which excludes it",
        "plc0: FORWARD: it changed less than 3000 ms ago",
        "plc1: REVERSE: it is an output by rule",
      ],
    );
  });

  Deno.test(`a silent guest's line gets its safe value, a talking one's does not (${how})`, async () => {
    await using chips = await twoChips();
    await using service = await ConfigService.start(config);
    using plc0 = service.guest("plc0");
    plc0.driver.setValue(HEATER, 1);
    const end = performance.now() + 2500;
    while (performance.now() < end) {
      plc0.driver.getValue(ESTOP);
      assertEquals(await chips.relays.level(2), 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await until(
      "the heater is off",
      async () => await chips.relays.level(2) === 0,
    );
    const [silent] = await service.heard("silent");
    assertEquals(silent?.detail, "HEATER has its safe value now");
    plc0.driver.setValue(HEATER, 1);
    assertEquals(await chips.relays.level(2), 1);
  });

  Deno.test(`wires, copies and constants show guests what others do (${how})`, async () => {
    await using chips = await twoChips();
    await using service = await ConfigService.start(config);
    using plc0 = service.guest("plc0");
    using plc1 = service.guest("plc1");
    using hmi = service.guest("hmi");
    assertEquals(plc1.driver.getValue(PEER), 0);
    plc1.driver.setInterruptType(PEER, IrqType.EdgeBoth);
    plc1.driver.arm(PEER);
    plc0.driver.setOutput(READY, 1, Direction.Output);
    assertEquals(plc1.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, PEER);
    assertEquals(plc1.driver.getValue(PEER), 1);
    assertEquals(plc1.driver.getValue(STOPPED), 1);
    plc0.driver.setValue(FORWARD, 1);
    assertEquals(plc1.driver.getValue(STOPPED), 0);
    assertEquals(hmi.driver.getValue(1), 0);
    plc0.driver.setValue(HEATER, 1);
    assertEquals(hmi.driver.getValue(1), 1);
    assertEquals(hmi.driver.getValue(2), 1);
    assertEquals(hmi.driver.getValue(0), 1, "pulled up");
    await chips.io.pull(1, "down");
    assertEquals(hmi.driver.getValue(0), 0);
    assertThrows(
      () => hmi.driver.setDirection(2, Direction.Output),
      RequestRefused,
    );
    // The guest that drove the wire is gone, and its line keeps its value.
    plc1.driver.arm(PEER);
    plc0.frontend[Symbol.dispose]();
    await service.heard("disconnected");
    assertEquals(plc1.driver.getValue(PEER), 1);
  });
}

Deno.test("check --live knows the chips, their lines and who has them", async () => {
  await using chips = await twoChips();
  await using service = await ConfigService.start(plant);
  const good = await service.run("check", "--live", service.file);
  assertEquals(good.code, 0, good.stderr);
  assert(good.stderr.includes('held by "gpioagg/plc0"'));
  const path = `${service.file}.other`;
  Deno.writeTextFileSync(
    path,
    `aggregators:
  x:
    vhost-user: /tmp/x.sock
    lines:
      - { chip: relays, offset: 99 }
      - { chip: nowhere, offset: 1 }
      - { chip: { label: gone }, offset: 1, optional: true }
      - { chip: ${chips.relays.name}, offset: 0 }
      - { chip: io, offset: 2 }
  y:
    vhost-user: /tmp/y.sock
    lines: [ { chip: ${chips.io.path}, offset: 2 } ]
`,
  );
  const bad = await service.run("check", "--live", "--json", path);
  assertEquals(bad.code, 2);
  const { errors, notes } = JSON.parse(bad.stdout);
  assertEquals(
    errors.map(({ line, column }: { line: number; column: number }) =>
      `${line}:${column}`
    ),
    ["5:9", "6:9", "8:9", "12:14"],
  );
  const problems = errors.map(({ problem }: { problem: string }) => problem);
  assert(problems[0].includes("has no line 99, its lines are 0 to 7"));
  assert(problems[1].includes("there are gpiochip0"), problems[1]);
  assert(problems[2].includes('busy, held by "gpioagg/plc0"'));
  assert(problems[3].includes("aggregators.x.lines[4]"));
  assertEquals(notes.length, 1);
});

for (const how of ["in the reactor", "in lanes"]) {
  Deno.test(`a line that another process shares is refused with what to do (${how})`, async () => {
    await using chips = await twoChips();
    const config = (name: string) => (directory: string) => `
defaults: { lane: ${how === "in lanes"} }
aggregators:
  ${name}:
    vhost-user: ${directory}/${name}.sock
    lines: [{ chip: ${chips.io.name}, offset: 0, shared: true }]
`;
    await using _first = await ConfigService.start(config("plc0"));
    const error = await assertRejects(() =>
      ConfigService.start(config("plc1"))
    );
    assertStringIncludes(String(error), 'held by "gpioagg/plc0"');
    assertStringIncludes(String(error), "put both aggregators into one file");
  });
}
