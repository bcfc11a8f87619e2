/** A restart under a service manager changes nothing for a guest's pins. */
import { assertEquals } from "@std/assert";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { MovingChip } from "./moving_chip.ts";
import { RESTARTS, WireWatch } from "./restart_rig.ts";

for (const signal of RESTARTS) {
  Deno.test(`what a guest drives by its pins is held through a restart by ${signal}`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using manager = new ManagerDouble();
    const args = [
      "--qemu-pins",
      `qtest=${manager.directory}/qtest,qmp=${manager.directory}/qmp`,
      ...["--line", `${chip.name}/0-2,safe=0`],
      ...["--line", `${chip.name}/3,direction=input`],
    ];
    const wiresAre = (levels: string) => async () =>
      levels ===
        (await Promise.all([0, 1, 2].map((offset) => chip.level(offset))))
          .join("");
    {
      using qemu = new RunningQemu(manager.directory);
      const { gpio } = qemu.model;
      await manager.start(args);
      gpio.setDirections(7);
      gpio.setData(7);
      await until("the guest's outputs", wiresAre("111"));
      using watch = new WireWatch(chip, [0, 1, 2]);
      const pushed = () => gpio.inputs.filter(([pin]) => pin === 3);
      for (const level of [1, 0] as const) {
        await manager.stop(signal);
        gpio.inputs.length = 0;
        await chip.pull(3, level === 1 ? "up" : "down");
        await manager.start(args);
        await until("what the host did meanwhile", () => pushed().length > 0);
        assertEquals(pushed().at(-1), [3, level]);
      }
      await watch.end("111");

      // The guest goes on, with what it does meanwhile too.
      gpio.setData(6);
      await until("the guest's output", wiresAre("011"));
      await manager.stop(signal);
      gpio.setData(5);
      await manager.start(args);
      await until("the guest's outputs", wiresAre("101"));

      // One that is rebooted meanwhile, and has come to one of the two again.
      await manager.stop(signal);
      qemu.model.reset();
      gpio.setDirections(4);
      gpio.setData(4);
      await manager.start(args);
      await until("the safe state", wiresAre("001"));
      gpio.setDirections(7);
      gpio.setData(5);
      await until("the guest's outputs", wiresAre("101"));
    }
    // QEMU's end is the guest's: the new process knows its rules.
    await until("the safe state", wiresAre("000"));
  });
}

for (const signal of RESTARTS) {
  Deno.test(`what a guest drives by its pins is back with a chip that was away at a restart by ${signal}`, async () => {
    await using chip = await MovingChip.create("panel", 2);
    await using manager = new ManagerDouble();
    const args = [
      "--qemu-pins",
      `qtest=${manager.directory}/qtest,qmp=${manager.directory}/qmp`,
      ...["--line", "panel/0-1,safe=0,optional"],
    ];
    using qemu = new RunningQemu(manager.directory);
    const { gpio } = qemu.model;
    await manager.start(args);
    gpio.setDirections(3);
    gpio.setData(2);
    await until("the guest's output", async () => await chip.level(1) === 1);
    await chip.unplug();
    await manager.stop(signal);
    await manager.start(args);
    await chip.plug();
    await until("the guest's output", async () => await chip.level(1) === 1);
    assertEquals(await chip.level(0), 0);
  });
}
