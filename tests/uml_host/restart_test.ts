/** A restart under a service manager changes nothing on a line. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "../process/server_usage.ts";
import {
  EVENT_LIMIT_MS,
  QUIET_MS,
  RestartGuest,
  RESTARTS,
  WireWatch,
} from "./restart_rig.ts";

for (const signal of RESTARTS) {
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
    using watcher = Chip.open(chip.path);
    await manager.start(args);
    {
      using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
      const driver = GpioDriver.attach(frontend);
      driver.setOutput(0, 1, Direction.Output);
      driver.setValue(0, 1);
      driver.setOutput(1, 1, Direction.Output);
      assertEquals([await chip.level(0), await chip.level(1)], [1, 0]);
      assertEquals(manager.stored("line.").length, 3);
      const fds = await settledFdCount(manager.pid);

      using watch = new WireWatch(chip, [0, 1]);
      for (let restart = 0; restart < 2; restart++) {
        await manager.stop(signal);
        await manager.start(args);
        assertEquals(manager.stored("line.").length, 3);
        await assertNoMoreFds(manager.pid, fds);
      }
      await watch.end("10");
    }
    // Another guest comes: the old one is gone, and the rules hold.
    using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
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

for (const signal of RESTARTS) {
  Deno.test(`a guest's interrupts stay armed through a restart by ${signal}`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/a.sock`;
    const args = ["--socket-path", socket, "--line", `${chip.name}/0-2`];
    await manager.start(args);
    using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(2, 1, Direction.Output);
    for (const lineNumber of [0, 1]) {
      driver.setInterruptType(lineNumber, IrqType.EdgeBoth);
      driver.arm(lineNumber);
    }
    for (const pull of ["up", "down"] as const) {
      await manager.stop(signal);
      // No service runs now, but the line is held, and its edges are kept.
      await chip.pull(1, pull);
      await manager.start(args);
      assertEquals(await chip.level(2), 1);
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

Deno.test("a force ends with its process: lines go where their guest wants them", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  await using manager = new ManagerDouble();
  const { directory } = manager;
  const socket = `${directory}/a.sock`;
  const api = `${directory}/api.sock`;
  const args = [
    `--api=${api}`,
    "--socket-path",
    socket,
    "--line",
    `${chip.name}/0-2`,
  ];
  await manager.start(args);
  const client = new ServiceClient(api);
  using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  driver.setOutput(0, 0, Direction.Output);
  driver.setOutput(1, 0, Direction.Output);
  driver.setInterruptType(2, IrqType.EdgeBoth);
  driver.arm(2);
  await client.forceDetached("a", {
    lines: { "0": 1, "1": 1, "2": 1 },
    for: "1h",
    reason: "test",
  });
  assertEquals([await chip.level(0), await chip.level(1)], [1, 1]);
  assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
  assertEquals(driver.getValue(2), 1);
  // It waits for the end of the force.
  driver.setValue(1, 1);
  driver.setValue(1, 0);
  driver.setValue(0, 1);
  await manager.stop("SIGKILL");
  await manager.start(args);
  await until("the way back", async () => await chip.level(1) === 0);
  assertEquals(await chip.level(0), 1);
  const { lines } = await client.show("a");
  assertEquals(lines.map(({ forced }) => forced), [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([0, 1, 2].map((line) => driver.getValue(line)), [1, 0, 0]);
  driver.setValue(0, 0);
  assertEquals(await chip.level(0), 0);
});

Deno.test("a line that the next process does not want is let go", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using manager = new ManagerDouble();
  const args = (...offsets: number[]) => [
    "--socket-path",
    `${manager.directory}/a.sock`,
    ...offsets.flatMap((offset) => ["--line", `${chip.name}/${offset}`]),
  ];
  await manager.start(args(0, 1));
  assertEquals(manager.stored("line.").length, 2);
  await manager.stop("SIGUSR2");
  using watcher = Chip.open(chip.path);
  assert(watcher.lineInfo(1).used);
  await manager.start(args(0));
  await until("one is kept", () => manager.stored("line.").length === 1);
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
  await until("all are kept", () => manager.stored("line.").length === 64);
  using watcher = Chip.open(chip.path);
  for (let offset = 0; offset < 64; offset++) watcher.watchLineInfo(offset);
  await manager.stop("SIGKILL");
  await manager.start(args);
  const told = watcher.readInfoEvents().filter(({ kind }) =>
    kind !== "reconfigured"
  );
  assertEquals(told, []);
});

for (const signal of RESTARTS) {
  Deno.test(`a guest that is new after a restart by ${signal} gets no edge from before it`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/a.sock`;
    const args = [
      "--socket-path",
      socket,
      "--line",
      `${chip.name}/0`,
      "--line",
      `${chip.name}/1,lane`,
    ];
    await manager.start(args);
    for (const types of [[IrqType.EdgeBoth], [IrqType.EdgeRising]] as const) {
      {
        using old = new RestartGuest(socket);
        for (const line of [0, 1]) {
          old.driver.setInterruptType(line, IrqType.EdgeBoth);
          old.driver.arm(line);
        }
        await manager.stop(signal);
        for (const line of [0, 1]) {
          await chip.pull(line, "up");
          await chip.pull(line, "down");
        }
        await manager.start(args);
      }
      using guest = new RestartGuest(socket);
      const { driver } = guest;
      for (const line of [0, 1]) {
        driver.setInterruptType(line, types[0]);
        driver.arm(line);
      }
      assertEquals(driver.waitEvent(QUIET_MS), undefined);
      for (const line of [0, 1]) {
        await chip.pull(line, "up");
        assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, line);
        await chip.pull(line, "down");
      }
    }
  });
}

Deno.test("kept lines get the settings that the configuration has by now", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 5 });
  await using manager = new ManagerDouble();
  const socket = `${manager.directory}/a.sock`;
  const args = (...rules: string[]) => [
    "--socket-path",
    socket,
    ...rules.flatMap((rule, i) => ["--line", `${chip.name}/${i}${rule}`]),
  ];
  await manager.start(args(
    ",direction=output,initial=1",
    ",direction=input",
    ",direction=output,initial=1",
    ",direction=input,bias=pull-up",
    ",direction=output,initial=0",
  ));
  using guest = new RestartGuest(socket);
  const { driver } = guest;
  driver.setInterruptType(3, IrqType.EdgeBoth);
  driver.arm(3);
  const levels = () =>
    Promise.all([0, 1, 2, 3, 4].map((offset) => chip.level(offset)));
  assertEquals((await levels()).toSpliced(1, 2), [1, 1, 0]);
  await manager.stop("SIGUSR2");
  using watcher = Chip.open(chip.path);
  for (const offset of [0, 1, 2, 3, 4]) watcher.watchLineInfo(offset);
  await manager.start(args(
    ",direction=output,initial=0,active-low",
    ",direction=output,initial=1",
    ",direction=input",
    ",direction=input,bias=pull-down",
    ",direction=output,initial=1",
  ));
  assertEquals((await levels()).toSpliced(2, 1), [1, 1, 0, 0]);
  const told = watcher.readInfoEvents().map(({ kind, info }) =>
    `${kind} ${info.offset} ${info.direction} ${info.bias}`
  );
  assertEquals(told.toSorted(), [
    "reconfigured 0 output as-is",
    "reconfigured 1 output as-is",
    "reconfigured 2 input as-is",
    "reconfigured 3 input pull-down",
  ]);
  assert(watcher.lineInfo(0).activeLow);
  assertEquals(driver.getValue(0), 0, "what is on the wire is inactive now");
  // The guest of before saw the pull go from up to down.
  assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 3);
  driver.arm(3);
  await chip.pull(3, "up");
  assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 3);
});

Deno.test("what was kept and is of no use is told of, and the line requested anew", async () => {
  await using manager = new ManagerDouble();
  const socket = `${manager.directory}/a.sock`;
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  const gone = await SimChip.create(localFiles, { lines: 1 });
  const args = (...lines: string[]) => [
    "--socket-path",
    socket,
    ...lines.flatMap((line) => ["--line", line]),
  ];
  await manager.start(args(`${chip.name}/0-2`, `${gone.name}/0`));
  await manager.stop("SIGUSR2");
  const nameOf = (offset: number) => `line.${chip.name}.${offset}`;
  const { store } = manager;
  store.get(nameOf(0))!.close();
  store.set(nameOf(0), createMemFd("no line", 8));
  store.get(nameOf(1))!.close();
  store.set(nameOf(1), store.get(nameOf(2))!);
  store.delete(nameOf(2));
  await gone[Symbol.asyncDispose]();
  await using other = await SimChip.create(localFiles, { lines: 1 });
  await manager.start(
    args(`${chip.name}/0,lane`, `${chip.name}/1`, `${other.name}/0`),
  );
  for (
    const said of [
      `line 0 of ${chip.name} is not used: it is no line request`,
      `line 1 of ${chip.name} is not used: it is the request of line 2`,
      `line.${gone.name}.0 is not needed any more`,
    ]
  ) assertStringIncludes(manager.log, said);
  using watcher = Chip.open(chip.path);
  await until("line 2 is let go", () => !watcher.lineInfo(2).used);
  using guest = new RestartGuest(socket);
  for (const line of [0, 1, 2]) {
    guest.driver.setOutput(line, 1, Direction.Output);
  }
  assertEquals(
    await Promise.all([chip.level(0), chip.level(1), other.level(0)]),
    [1, 1, 1],
  );
  assertEquals(
    manager.stored("line.").toSorted(),
    [
      nameOf(0),
      nameOf(1),
      `line.${other.name}.0`,
    ].toSorted(),
  );
});

Deno.test("a line is found that another aggregator has by now, in a lane or not", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using manager = new ManagerDouble();
  const args = (...specs: string[]) =>
    specs.flatMap((spec, i) => [
      "--socket-path",
      `${manager.directory}/${i}.sock`,
      "--line",
      `${chip.name}/${spec},direction=output,initial=0`,
    ]);
  await manager.start(args("0", "1,lane"));
  for (const name of ["0", "1"]) {
    using guest = new RestartGuest(`${manager.directory}/${name}.sock`);
    guest.driver.setOutput(0, 1, Direction.Output);
  }
  using watch = new WireWatch(chip, [0, 1]);
  await manager.stop("SIGUSR2");
  await manager.start(args("1", "0,lane"));
  await watch.end("11");
});

Deno.test("a store that is full, or whose manager refuses, does no harm", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  await using manager = new ManagerDouble();
  const socket = `${manager.directory}/a.sock`;
  const args = ["--socket-path", socket, "--line", `${chip.name}/0-2`];
  for (const max of [1, 0]) {
    manager.maxStored = max;
    await manager.start(args);
    using guest = new RestartGuest(socket);
    guest.driver.setOutput(2, 1, Direction.Output);
    assertEquals(await chip.level(2), 1);
    assertEquals(manager.store.size, max);
    await manager.stop("SIGKILL");
    guest.disconnect();
    await manager.start(args);
    guest.reconnect();
    guest.driver.setOutput(2, 1, Direction.Output);
    guest.driver.setValue(2, 0);
    assertEquals(await chip.level(2), 0);
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
  }
});
