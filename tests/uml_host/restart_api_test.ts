/** Aggregators of clients, through a restart: as their leases say. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { RawLease } from "../environment/raw_lease.ts";
import { until } from "../environment/wait.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { MovingChip } from "./moving_chip.ts";
import {
  EVENT_LIMIT_MS,
  RestartGuest,
  RESTARTS,
  WireWatch,
} from "./restart_rig.ts";

function serving(manager: ManagerDouble): string[] {
  return ["--api", `${manager.directory}/api.sock`];
}

for (const signal of RESTARTS) {
  Deno.test(`what was to outlive its maker outlives a restart by ${signal} too`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using manager = new ManagerDouble();
    await manager.start(serving(manager));
    const client = new ServiceClient(`${manager.directory}/api.sock`);
    const made = await client.createLasting({
      name: "lasting",
      lines: [
        `${chip.name}/0,direction=output,safe=0`,
        `${chip.name}/1`,
        `${chip.name}/2,direction=output,safe=0,combine=and`,
        `${chip.name}/3,direction=input,shared`,
      ],
      socket: { mode: "600" },
    });
    const second = await client.createLasting({
      name: "second.one",
      lines: [
        `${chip.name}/2,direction=output,safe=0,combine=and`,
        `${chip.name}/3,direction=input,shared`,
      ],
    });
    using guest = new RestartGuest(made.socketPath!);
    using other = new RestartGuest(second.socketPath!);
    guest.driver.setOutput(0, 1, Direction.Output);
    // Only one of the two wants it: the line stays inactive.
    guest.driver.setOutput(2, 1, Direction.Output);
    guest.driver.setInterruptType(1, IrqType.EdgeRising);
    for (const line of [1, 3]) {
      guest.driver.setInterruptType(line, IrqType.EdgeRising);
      guest.driver.arm(line);
    }
    other.driver.setInterruptType(1, IrqType.EdgeRising);
    other.driver.arm(1);
    using watch = new WireWatch(chip, [0, 2]);
    await manager.stop(signal);
    for (const line of [1, 3]) await chip.pull(line, "up");
    await manager.start(serving(manager));
    const heard = [1, 2].map(() =>
      guest.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber
    );
    assertEquals(heard.toSorted(), [1, 3]);
    assertEquals(other.driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
    await watch.end("10");
    other.driver.setValue(0, 1);
    assertEquals(await chip.level(2), 1, "now both want it");
    const state = await client.show("lasting");
    assertEquals([state.lease, state.socketPath], ["none", made.socketPath]);
    assertEquals(fileStatus(made.socketPath!)?.mode, 0o600);

    // Removed is removed, also for the next process.
    await client.remove("lasting");
    assertEquals(await chip.level(0), 0);
    await until(
      "one is kept",
      () => manager.stored("aggregator.").length === 1,
    );
    other.disconnect();
    await manager.stop(signal);
    await manager.start(serving(manager));
    assertEquals((await client.list()).map(({ name }) => name), ["second.one"]);
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
  });

  Deno.test(`what has a lease goes on over a restart by ${signal}, and ends if its client does not: its lines are safe, and free`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using manager = new ManagerDouble();
    await manager.start(serving(manager));
    const api = `${manager.directory}/api.sock`;
    using lease = await RawLease.create(api, {
      name: "leased",
      lines: [
        `${chip.name}/0,direction=output,initial=0,safe=1`,
        `${chip.name}/1,direction=output,initial=1,safe=0,lane`,
        `${chip.name}/2,direction=output,combine=or,safe=0`,
      ],
    });
    const { token = "" } = lease;
    const { socketPath } = lease.state;
    // A line of this chip that is not requested shows its pull.
    await chip.pull(0, "down");
    for (const line of [1, 2]) await chip.pull(line, "up");
    {
      using guest = new RestartGuest(socketPath!);
      guest.driver.setOutput(0, 0, Direction.Output);
      guest.driver.setOutput(1, 1, Direction.Output);
      guest.driver.setOutput(2, 1, Direction.Output);
      const levels = () =>
        Promise.all([0, 1, 2].map((offset) => chip.level(offset)));
      assertEquals(await levels(), [0, 1, 1]);
      await until("a guest is kept", () => manager.stored("guest.").length > 0);
      using watch = new WireWatch(chip, [0, 1, 2]);
      await manager.stop(signal);
      await manager.start(serving(manager));
      using _again = await RawLease.resume(api, "leased", token);
      await watch.end("011");
      // As long as the manager has the requests, the chip shows what they drive.
      manager.isSlow = true;
      await manager.stop(signal);
      await manager.start(serving(manager));
      assertEquals(await levels(), [0, 1, 1], "its client may come back");
      await until(
        "the safe values",
        async () => (await levels()).join("") === "100",
      );
      manager.isSlow = false;
    }
    using watcher = Chip.open(chip.path);
    await until(
      "the lines are free",
      () => [0, 1, 2].every((offset) => !watcher.lineInfo(offset).used),
    );
    assertEquals(fileStatus(socketPath!), undefined);
    const client = new ServiceClient(`${manager.directory}/api.sock`);
    assertEquals(await client.list(), []);
    await until("the store is empty", () => manager.store.size === 0);
  });
}

for (const lane of [false, true]) {
  Deno.test(`what was to outlive its maker outlives its chip's absence at a restart${lane ? " (in a lane)" : ""}`, async () => {
    await using chip = await MovingChip.create("panel", 2);
    await using manager = new ManagerDouble();
    await manager.start(serving(manager));
    const client = new ServiceClient(`${manager.directory}/api.sock`);
    const made = await client.createLasting({
      name: "lasting",
      lines: ["panel/0", "panel/1"].map((spec) => lane ? `${spec},lane` : spec),
    });
    await manager.stop("SIGUSR2");
    await chip.unplug();
    await manager.start(serving(manager));
    assertEquals((await client.show("lasting")).lease, "none");
    using guest = new RestartGuest(made.socketPath!);
    const fails = () => {
      try {
        guest.driver.setOutput(0, 1, Direction.Output);
        return false;
      } catch (error) {
        if (error instanceof RequestRefused) return true;
        throw error;
      }
    };
    assert(fails(), "its chip is away");
    await chip.plug();
    await until("the line works", () => !fails());
    assertEquals(await chip.level(0), 1);
    // It is kept on: the next restart has it too.
    await manager.stop("SIGUSR2");
    guest.disconnect();
    await manager.start(serving(manager));
    assertEquals((await client.list()).map(({ name }) => name), ["lasting"]);
  });
}

Deno.test("what is no longer valid is told of, and its lines are let go", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  await using manager = new ManagerDouble();
  await manager.start(serving(manager));
  const client = new ServiceClient(`${manager.directory}/api.sock`);
  for (const [offset, name] of ["a", "b", "c", "d"].entries()) {
    await client.createLasting({ name, lines: [`${chip.name}/${offset}`] });
  }
  await manager.stop("SIGUSR2");
  const tamper = (name: string, text: string) => {
    manager.store.get(name)!.close();
    const bytes = new TextEncoder().encode(text);
    const file = createMemFd(name, bytes.length);
    using memory = Mapping.map(file.fd, {
      length: bytes.length,
      subject: name,
    });
    new Uint8Array(memory.buffer).set(bytes);
    manager.store.set(name, file);
  };
  tamper("aggregator.a", '{"version":2,"create":{}}');
  tamper("aggregator.b", "no JSON");
  tamper(
    "aggregator.c",
    '{"version":1,"create":{"name":"c","lines":["?/,sefe=0"]}}',
  );
  await manager.start(serving(manager));
  for (const why of ["version 2", "JSON", "--line ?/"]) {
    assertStringIncludes(manager.log, why);
  }
  assertEquals((await client.list()).map(({ name }) => name), ["d"]);
  using watch = new WireWatch(chip, [0, 1, 2, 3]);
  assertEquals(
    [0, 1, 2, 3].map((offset) => watch.isUsed(offset)),
    [false, false, false, true],
  );
  await until(
    "the rest is dropped",
    () =>
      manager.stored("aggregator.").join() === "aggregator.d" &&
      manager.stored("line.").length === 1,
  );
  assert(manager.isRunning);
});
