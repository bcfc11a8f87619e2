/** A restart under a service manager changes nothing on a line. */
import { assert, assertEquals } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/tools/probe/driver.ts";
import { Frontend } from "../../src/tools/probe/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio_protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";

const EVENT_LIMIT_MS = 5000;

/** Ways a service ends for a restart: told to, and not. */
for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
  Deno.test(`an output is held through a restart by ${signal}, and never let go`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/a.sock`;
    const specs = [
      `${chip.name}/0,direction=output,initial=0,safe=0`,
      `${chip.name}/1,active-low`,
      `${chip.name}/2,direction=input`,
    ];
    const args = [
      "--socket-path",
      socket,
      ...specs.flatMap((spec) => ["--line", spec]),
    ];
    // What the kernel does with the lines is told without a gap, and what is
    // on the wires is looked at as often as can be.
    using watcher = Chip.open(chip.path);
    await manager.start(args);
    {
      using frontend = Frontend.open(socket, { timeoutMs: 10_000 });
      const driver = GpioDriver.attach(frontend);
      driver.setOutput(0, 1, Direction.Output);
      driver.setValue(0, 1);
      driver.setOutput(1, 1, Direction.Output);
      assertEquals([await chip.level(0), await chip.level(1)], [1, 0]);
      assertEquals(manager.stored("line.").length, 3);

      for (const offset of [0, 1, 2]) watcher.watchLineInfo(offset);
      const levels = new Set<string>();
      let isOver = false;
      const watching = (async () => {
        while (!isOver) {
          levels.add(`${await chip.level(0)}${await chip.level(1)}`);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      })();
      for (let restart = 0; restart < 2; restart++) {
        await manager.stop(signal);
        await manager.start(args);
        assertEquals(manager.stored("line.").length, 3);
      }
      isOver = true;
      await watching;
      assertEquals([...levels], ["10"]);
      const released = watcher.readInfoEvents().filter(({ kind }) =>
        kind !== "reconfigured"
      );
      assertEquals(released, []);
    }
    // Another guest comes: the old one is gone, and the rules hold.
    using frontend = Frontend.open(socket, { timeoutMs: 10_000 });
    const driver = GpioDriver.attach(frontend);
    assertEquals(driver.getDirection(0), Direction.Output);
    assertEquals(driver.getValue(0), 0);
    assertEquals([await chip.level(0), await chip.level(1)], [0, 0]);
    driver.setValue(0, 1);
    assertEquals(await chip.level(0), 1);
    await chip.pull(2, "up");
    assertEquals(driver.getValue(2), 1);

    // An end is an end: safe, free, and nothing is kept.
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
    assertEquals(watcher.lineInfo(0).used, false);
  });
}

for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
  Deno.test(`a guest's interrupts stay armed through a restart by ${signal}`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/a.sock`;
    const args = ["--socket-path", socket, "--line", `${chip.name}/0-2`];
    await manager.start(args);
    using frontend = Frontend.open(socket, { timeoutMs: 10_000 });
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(2, 1, Direction.Output);
    for (const lineNumber of [0, 1]) {
      driver.setInterruptType(lineNumber, IrqType.EdgeBoth);
      driver.arm(lineNumber);
    }
    for (const pull of ["up", "down"] as const) {
      await manager.stop(signal);
      frontend.disconnect();
      // Nobody serves now, but the line is held, and its edges are kept.
      await chip.pull(1, pull);
      await manager.start(args);
      assertEquals(await chip.level(2), 1);
      frontend.reconnect(socket, "used");
      frontend.start();
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
      driver.arm(1);
      await chip.pull(0, pull);
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      driver.arm(0);
      assertEquals(driver.getValue(0), pull === "up" ? 1 : 0);
      assertEquals(driver.getValue(2), 1);
    }
  });
}

Deno.test("a line that the next process does not want is let go", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using manager = new ManagerDouble();
  const args = (...offsets: number[]) => [
    "--socket-path",
    `${manager.directory}/a.sock`,
    ...offsets.flatMap((offset) => ["--line", `${chip.name}/${offset}`]),
  ];
  await manager.start(args(0, 1));
  assertEquals(manager.store.size, 2);
  await manager.stop("SIGUSR2");
  using watcher = Chip.open(chip.path);
  assert(watcher.lineInfo(1).used);
  await manager.start(args(0));
  await until("one is kept", () => manager.store.size === 1);
  assertEquals(watcher.lineInfo(1).used, false);
  assertEquals(watcher.lineInfo(0).used, true);
});

Deno.test("more lines are kept than a manager's queue is long", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 64 });
  await using manager = new ManagerDouble();
  const args = [
    "--socket-path",
    `${manager.directory}/a.sock`,
    "--line",
    `${chip.name}/0-63,direction=output`,
  ];
  await manager.start(args);
  await until("all are kept", () => manager.store.size === 64);
  using watcher = Chip.open(chip.path);
  for (let offset = 0; offset < 64; offset++) watcher.watchLineInfo(offset);
  await manager.stop("SIGKILL");
  await manager.start(args);
  const told = watcher.readInfoEvents().filter(({ kind }) =>
    kind !== "reconfigured"
  );
  assertEquals(told, []);
});
