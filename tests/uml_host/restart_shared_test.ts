/** A restart changes nothing on lines of lanes, and lines of several users. */
import { assert, assertEquals } from "@std/assert";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import {
  EVENT_LIMIT_MS,
  QUIET_MS,
  RestartGuest,
  RESTARTS,
  WireWatch,
} from "./restart_rig.ts";

/** Aggregators by name, as `serve` takes them. */
function serving(
  manager: ManagerDouble,
  aggregators: Readonly<Record<string, readonly string[]>>,
): string[] {
  return Object.entries(aggregators).flatMap(([name, specs]) => [
    "--socket-path",
    `${manager.directory}/${name}.sock`,
    ...specs.flatMap((spec) => ["--line", spec]),
  ]);
}

function connectGuest(manager: ManagerDouble, name: string): RestartGuest {
  return new RestartGuest(`${manager.directory}/${name}.sock`);
}

for (const signal of RESTARTS) {
  Deno.test(`a lane's lines are held through a restart by ${signal}, and end as their rules say`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using manager = new ManagerDouble();
    const args = serving(manager, {
      a: [
        `${chip.name}/0,direction=output,initial=0,safe=0,lane`,
        `${chip.name}/1-2,lane`,
      ],
    });
    await manager.start(args);
    using guest = connectGuest(manager, "a");
    const { driver } = guest;
    driver.setOutput(0, 1, Direction.Output);
    driver.setOutput(1, 1, Direction.Output);
    driver.setInterruptType(2, IrqType.EdgeBoth);
    driver.arm(2);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    for (const pull of ["up", "down"] as const) {
      using watch = new WireWatch(chip, [0, 1]);
      await manager.stop(signal);
      await chip.pull(2, pull);
      await manager.start(args);
      // The edge came between the two services.
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
      driver.arm(2);
      assertEquals(driver.waitEvent(QUIET_MS), undefined);
      assertEquals([driver.getValue(0), driver.getValue(1)], [1, 1]);
      await watch.end("11");
    }
    driver.setValue(0, 0);
    driver.setValue(0, 1);
    assertEquals(await chip.level(0), 1);
    assertEquals(manager.stored("line.").length, 3);
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
    using watch = new WireWatch(chip, [0]);
    assertEquals(watch.isUsed(0), false);
    await watch.end("0");
  });

  for (const lane of ["", ",lane"]) {
    const how = `${lane === "" ? "" : "in a lane, "}${signal}`;

    Deno.test(`edges of a shared input wait for each of its guests (${how})`, async () => {
      await using chip = await SimChip.create(localFiles, { lines: 1 });
      await using manager = new ManagerDouble();
      const spec = `${chip.name}/0,direction=input,shared${lane}`;
      const args = serving(manager, {
        a: [spec],
        b: [`${spec},active-low`],
        c: [spec],
      });
      await manager.start(args);
      const [a, b, c] = ["a", "b", "c"].map((name) =>
        connectGuest(manager, name)
      );
      using _guests = new DisposableStack();
      for (
        const [guest, type] of [
          [a!, IrqType.EdgeBoth],
          [b!, IrqType.EdgeFalling],
          [c!, IrqType.EdgeFalling],
        ] as const
      ) {
        _guests.use(guest);
        guest.driver.setInterruptType(0, type);
        guest.driver.arm(0);
      }
      using watch = new WireWatch(chip, [0]);
      await manager.stop(signal);
      await chip.pull(0, "up");
      await manager.start(args);
      assertEquals(a!.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      assertEquals(b!.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      assertEquals(c!.driver.waitEvent(QUIET_MS), undefined, "it only rose");
      a!.driver.arm(0);
      b!.driver.arm(0);
      await chip.pull(0, "down");
      assertEquals(a!.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      assertEquals(c!.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      assertEquals(b!.driver.waitEvent(QUIET_MS), undefined, "it fell");
      assertEquals(watch.isUsed(0), true);
    });

    Deno.test(`a combined output is held until its guests say something else (${how})`, async () => {
      await using chip = await SimChip.create(localFiles, { lines: 2 });
      await using manager = new ManagerDouble();
      const specs = [
        `${chip.name}/0,direction=output,combine=or,safe=0${lane}`,
        `${chip.name}/1,direction=output,combine=and,safe=0${lane}`,
      ];
      const args = serving(manager, { a: specs, b: specs });
      await manager.start(args);
      using a = connectGuest(manager, "a");
      using b = connectGuest(manager, "b");
      // One of them wants the first, one has no vote; both want the second.
      a.driver.setOutput(0, 1, Direction.Output);
      b.driver.setOutput(0, 0, Direction.Output);
      for (const { driver } of [a, b]) {
        driver.setOutput(1, 1, Direction.Output);
      }
      for (let restart = 0; restart < 2; restart++) {
        using watch = new WireWatch(chip, [0, 1]);
        await manager.stop(signal);
        await manager.start(args);
        assertEquals([b.driver.getValue(0), b.driver.getValue(1)], [1, 1]);
        // It never wanted it: what the other wants is still known.
        b.driver.setValue(0, 0);
        assertEquals([a.driver.getValue(0), a.driver.getValue(1)], [1, 1]);
        await watch.end("11");
      }
      b.driver.setValue(1, 0);
      assertEquals([await chip.level(0), await chip.level(1)], [1, 0]);
      a.driver.setValue(0, 0);
      assertEquals([await chip.level(0), await chip.level(1)], [0, 0]);
      // A guest that is gone has no vote, as ever.
      b.driver.setValue(0, 1);
      assertEquals(await chip.level(0), 1);
      b[Symbol.dispose]();
      await until("its vote is gone", async () => await chip.level(0) === 0);
    });
  }

  Deno.test(`lines that follow a kept line go on with it (${signal})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using manager = new ManagerDouble();
    const file = `${manager.directory}/plant.yaml`;
    await Deno.writeTextFile(
      file,
      `
aggregators:
  a:
    vhost-user: ${manager.directory}/a.sock
    lines:
      - { chip: ${chip.name}, offset: 0, as: IN, direction: input }
      - { chip: ${chip.name}, offset: 1, as: OUT, direction: output }
  b:
    vhost-user: ${manager.directory}/b.sock
    lines:
      - { copy: a.IN, as: COPY }
      - { invert: a.IN, as: OPPOSITE }
      - { wire: a.OUT, as: WIRE }
`,
    );
    const args = ["--config", file];
    await manager.start(args);
    using a = connectGuest(manager, "a");
    using b = connectGuest(manager, "b");
    a.driver.setOutput(1, 1, Direction.Output);
    assertEquals(b.driver.getValue(2), 1);
    a.driver.setInterruptType(0, IrqType.EdgeBoth);
    a.driver.arm(0);
    b.driver.setInterruptType(0, IrqType.EdgeRising);
    b.driver.setInterruptType(1, IrqType.EdgeRising);
    b.driver.setInterruptType(2, IrqType.EdgeBoth);
    for (const line of [0, 1, 2]) b.driver.arm(line);
    using watch = new WireWatch(chip, [1]);
    await manager.stop(signal);
    await chip.pull(0, "up");
    await manager.start(args);
    assertEquals(b.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
    assertEquals(b.driver.waitEvent(QUIET_MS), undefined, "neither the others");
    assertEquals(a.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
    assertEquals([0, 1, 2].map((line) => b.driver.getValue(line)), [1, 0, 1]);
    await watch.end("1");
    await chip.pull(0, "down");
    assertEquals(b.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
    a.driver.setValue(1, 0);
    assertEquals(b.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
    assert(watch.isUsed(0));
  });
}
