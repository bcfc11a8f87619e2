/** Aggregators with processes of their own, on simulated chips of the kernel. */
import { assert, assertEquals } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { listChildren } from "../environment/child_processes.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { isRunning } from "../process/run_rig.ts";
import { EVENT_LIMIT_MS, RESTARTS, WireWatch } from "./restart_rig.ts";

for (const lane of ["", ",lane"]) {
  const how = lane === "" ? "in its reactor" : "in a lane";

  for (const signal of RESTARTS) {
    Deno.test(`an isolated aggregator (${how}) is as it was after a restart by ${signal}`, async () => {
      await using chip = await SimChip.create(localFiles, { lines: 2 });
      await using manager = new ManagerDouble();
      const socket = `${manager.directory}/a.sock`;
      const args = [
        ...["--socket-path", socket, "--isolate"],
        ...["--line", `${chip.name}/0,direction=output,safe=0${lane}`],
        ...["--line", `${chip.name}/1,direction=input${lane}`],
      ];
      await manager.start(args);
      using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
      const driver = GpioDriver.attach(frontend);
      driver.setValue(0, 1);
      driver.setInterruptType(1, IrqType.EdgeBoth);
      driver.arm(1);
      assertEquals(manager.stored("line.").length, 2);
      using watch = new WireWatch(chip, [0]);
      for (const pull of ["up", "down"] as const) {
        const [child] = listChildren(manager.pid);
        await manager.stop(signal);
        // It may outlive a service that was killed, for a moment.
        await until("its process ends", () => !isRunning(child!));
        await chip.pull(1, pull);
        await manager.start(args);
        assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
        driver.arm(1);
        assertEquals(driver.getValue(0), 1);
      }
      await watch.end("1");
      await manager.stop("SIGTERM");
      await until("the store is empty", () => manager.store.size === 0);
      assertEquals(await chip.level(0), 0);
    });
  }

  Deno.test(`the lines of an isolated aggregator (${how}) are safe after its process was killed`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/a.sock`;
    const api = `${manager.directory}/api.sock`;
    await manager.start([
      ...["--api", api, "--socket-path", socket, "--isolate"],
      ...["--line", `${chip.name}/0,direction=output,initial=1,safe=0${lane}`],
      ...["--socket-path", `${manager.directory}/b.sock`],
      ...["--line", `${chip.name}/1,direction=output,safe=0`],
    ]);
    const client = new ServiceClient(api);
    using other = Frontend.open(`${manager.directory}/b.sock`, {
      timeoutMs: 120_000,
    });
    const neighbour = GpioDriver.attach(other);
    neighbour.setValue(0, 1);
    for (let kills = 0; kills < 2; kills++) {
      {
        using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
        const driver = GpioDriver.attach(frontend);
        driver.setOutput(0, 1, Direction.Output);
        driver.setValue(0, 1);
        assertEquals(await chip.level(0), 1);
        const { pid } = await client.show("a");
        Deno.kill(pid!, "SIGKILL");
        await until("the safe value", async () => await chip.level(0) === 0);
      }
      await until("it is served again", async () => {
        const { pid, lines } = await client.show("a");
        return pid !== undefined && lines[0]!.pendingRule === undefined;
      }, 120_000);
    }
    assertEquals([neighbour.getValue(0), await chip.level(1)], [1, 1]);
    using watcher = Chip.open(chip.path);
    assert(watcher.lineInfo(0).used);
    await client.remove("a", { isForced: true });
    assertEquals(watcher.lineInfo(0).used, false);
  });
}
