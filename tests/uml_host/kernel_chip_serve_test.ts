/** Chips of the host's own kernel through `gpioagg serve --config`. */
import { assertEquals, assertMatch } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";
import {
  gpioagg,
  holdChip,
  kernelCommand,
  startIn,
} from "./kernel_chip_rig.ts";

async function serving(config: string): Promise<ChildProcess> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(file, config);
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      ..."serve --json --config".split(" "),
      file,
    ],
    cwd: REPOSITORY,
  });
}

function formatConfig(chip: SimChip): string {
  return `aggregators:
  press:
    kernel-chip: { mode: "0660" }
    lines: [ "${chip.name}/1,as=VALVE", "${chip.name}/3,as=DOOR" ]
  crane:
    vhost-user: /tmp/crane.sock
    lines: [ ${chip.name}/0 ]
`;
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`a kernel chip of a configuration goes with its service (${signal})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using service = await serving(formatConfig(chip));
    const ready = await service.waitFor(/{"event":"ready".*/, {
      timeoutMs: 120_000,
    });
    const { aggregators } = JSON.parse(ready[0]) as {
      aggregators: { name: string; presentation: string }[];
    };
    const made = aggregators.find(({ name }) => name === "press");
    const path = /^as (\/dev\/gpiochip\d+)$/.exec(
      made?.presentation ?? "",
    )![1]!;
    assertEquals(fileStatus(path)?.mode, 0o660);
    {
      using own = Chip.open(path);
      assertEquals(own.lines().map(({ name }) => name), ["VALVE", "DOOR"]);
      using request = own.requestLines({
        consumer: "test",
        lines: [{
          offset: 0,
          settings: { direction: "output", outputValue: 1 },
        }],
      });
      assertEquals(await chip.level(1), 1);
      request.setValue(0, 0);
      assertEquals(await chip.level(1), 0);
    }
    service.kill(signal);
    await service.waitForExit();
    await until("the chip's end", () => fileStatus(path) === undefined);
    using host = Chip.open(chip.path);
    assertEquals(host.lineInfo(1).used, false);
  });
}

Deno.test("a service tells that others took its kernel chip down, and serves on", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  await using service = await serving(formatConfig(chip));
  await service.waitFor(/{"event":"ready".*/, { timeoutMs: 120_000 });
  const { code, stderr } = await gpioagg(
    "kernel",
    "remove",
    "press",
    "--force",
  );
  assertEquals(code, 0, stderr);
  const [told] = await service.waitFor(/{.*"event":"unplugged".*}/);
  const { aggregator, detail } = JSON.parse(told);
  assertEquals(aggregator, "press");
  assertMatch(detail, /^\/dev\/gpiochip\d+ was removed by another process$/);
  service.kill("SIGTERM");
  assertEquals((await service.waitForExit()).code, 0, service.stderr);
});

Deno.test("a kernel chip that has lost a chip behind it is reported everywhere", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  await using held = await holdChip("--name=own", `--line=${chip.name}/2`);
  const directory = await Deno.makeTempDir();
  const api = `--api=${directory}/api.sock`;
  await using service = await serving(
    `${formatConfig(chip)}api: { socket: ${directory}/api.sock }\n`,
  );
  await service.waitFor(/{"event":"ready".*/, { timeoutMs: 120_000 });
  const { name } = chip;
  const before = await gpioagg("list", api);
  assertMatch(before.stdout, /press +2 +chip not in use/, before.stderr);
  await using watch = startIn([], ["watch", api]);
  await watch.waitFor(/press/, { timeoutMs: 120_000 });

  await chip.unplug();
  const lost = new RegExp(
    `${name} is gone: its lines of /dev/gpiochip\\d+ fail until the chip is ` +
      "made again",
  );
  const [told] = await service.waitFor(/{.*"event":"unplugged".*again.*}/);
  assertMatch(JSON.parse(told).detail, lost);
  await watch.waitFor(lost);
  await held.process.waitFor(lost, { stream: "stderr" });
  const list = await gpioagg("list", api);
  assertMatch(list.stdout, /press +2 +source chip gone/);
  const show = await gpioagg("show", "press", api);
  assertMatch(show.stdout, new RegExp(`which has lost ${name}`));
  const kernel = await kernelCommand("list");
  for (const one of ["own", "press"]) {
    assertMatch(kernel.stdout, new RegExp(`${one} .*, ${name} is gone`));
  }
  const client = new ServiceClient(`${directory}/api.sock`);
  assertEquals((await client.show("press")).kernelChip?.lostChips, [name]);
  const metrics = new MetricsPage(await client.metrics());
  assertEquals(metrics.sum("gpioagg_kernel_chip_lost_chips"), 1);

  // Its lines do not return with the chip, and neither does the word go.
  await chip.plug();
  const after = await gpioagg("list", api);
  assertMatch(after.stdout, /press +2 +source chip gone/);
  service.kill("SIGTERM");
  assertEquals((await service.waitForExit()).code, 0, service.stderr);
});
