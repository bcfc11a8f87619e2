/** A start that fails changes nothing on a line that is kept for the next one. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { failByHungProcess } from "../environment/hung_start.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { EVENT_LIMIT_MS, WireWatch } from "./restart_rig.ts";

for (
  const [how, key, ...isolate] of [
    ["in the reactor", ""],
    ["in a lane", ",lane"],
    ["of an isolated aggregator, in a lane", ",lane", "--isolate"],
  ] as const
) {
  Deno.test(`lines ${how} are as they were after starts that fail`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using manager = new ManagerDouble();
    const { directory } = manager;
    const group = (name: string, ...specs: string[]) => [
      ...["--socket-path", `${directory}/${name}.sock`, ...isolate],
      ...specs.flatMap((spec) => ["--line", `${chip.name}/${spec}${key}`]),
    ];
    const output = "0,direction=output,safe=0";
    const input = "1,direction=input";
    const args = group("a", output, input);
    await manager.start(args);
    using frontend = Frontend.open(`${directory}/a.sock`, {
      timeoutMs: EVENT_LIMIT_MS,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setValue(0, 1);
    driver.setInterruptType(1, IrqType.EdgeBoth);
    driver.arm(1);
    const kept = manager.stored("").toSorted();
    using watch = new WireWatch(chip, [0]);
    await manager.stop("SIGKILL");
    const starts = [
      // Its last line is not there, nor is another aggregator's.
      group("a", output, input, "9,direction=input"),
      [...args, ...group("b", "2,direction=input", "9,direction=input")],
      // All is served by then.
      [...args, "--api", `${directory}/missing/api.sock`],
    ];
    const fails: (() => Promise<unknown>)[] = starts.map((failing) => () =>
      assertRejects(() => manager.start(failing))
    );
    if (isolate.length > 0) fails.push(() => failByHungProcess(manager, args));
    for (const fail of fails) {
      const before = manager.log.length;
      await fail();
      assertStringIncludes(manager.log.slice(before), "stay as they are");
      assertEquals(
        kept.filter((name) => !manager.store.has(name)),
        [],
        manager.log,
      );
    }
    await chip.pull(1, "up");
    await manager.start(args);
    assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
    assertEquals(driver.getValue(0), 1);
    await watch.end("1");
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
    assertEquals(await chip.level(0), 0);
  });
}
