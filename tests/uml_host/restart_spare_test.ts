/** A spare that takes over the lines of a real chip: none of them notices. */
import { assertEquals } from "@std/assert";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { replaceService, waitForPair } from "../environment/keeper_pair.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";
import { EVENT_LIMIT_MS, RestartGuest, WireWatch } from "./restart_rig.ts";

Deno.test("a spare takes over chip lines: an output is held, a guest drives and monitors on", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  await using manager = new ManagerDouble();
  const socket = `${manager.directory}/a.sock`;
  await manager.start([
    ...["--standby", "--socket-path", socket],
    ...["--line", `${chip.name}/0-2`],
  ]);
  using guest = new RestartGuest(socket);
  const { driver } = guest;
  for (const line of [0, 1]) driver.setOutput(line, 1, Direction.Output);
  driver.setInterruptType(2, IrqType.EdgeBoth);
  driver.arm(2);
  let before: number | undefined;
  for (let round = 0; round < rounds(10, 2); round++) {
    for (const how of ["SIGUSR1", "SIGKILL"] as const) {
      const [service] = await waitForPair(manager.pid, before);
      using watch = new WireWatch(chip, [0]);
      const takeover = replaceService(manager.pid, how, before);
      // One of the two serves now, or neither yet.
      await chip.pull(2, "up");
      await takeover;
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
      driver.arm(2);
      await chip.pull(2, "down");
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 2);
      driver.arm(2);
      assertEquals(driver.getValue(2), 0);
      assertEquals(driver.waitEvent(0), undefined);
      for (const level of [0, 1]) {
        driver.setValue(1, level);
        assertEquals(await chip.level(1), level);
      }
      await watch.end("1");
      before = service;
    }
  }
  await manager.stop("SIGTERM");
  await until("the store is empty", () => manager.store.size === 0);
});
