/** Chips of the host's own kernel through `gpioagg serve --config`. */
import { assertEquals, assertMatch } from "@std/assert";
import { fileStatus } from "../../ffi/files.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { gpioagg } from "./kernel_chip_rig.ts";

async function serving(config: string): Promise<ChildProcess> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(file, config);
  return new ChildProcess({
    command: await artefact("deno"),
    args: [
      ..."run -q -P=gpioagg src/cli/main.ts serve --json --config".split(" "),
      file,
    ],
    cwd: REPOSITORY,
  });
}

function configOf(chip: SimChip): string {
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
    await using service = await serving(configOf(chip));
    const ready = await service.waitFor(/{"event":"ready".*/, {
      timeoutMs: 30_000,
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
    await until("the chip's end", () => fileStatus(path) === undefined, 4000);
    using host = Chip.open(chip.path);
    assertEquals(host.lineInfo(1).used, false);
  });
}

Deno.test("a service tells that others took its kernel chip down, and serves on", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  await using service = await serving(configOf(chip));
  await service.waitFor(/{"event":"ready".*/, { timeoutMs: 30_000 });
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
  assertMatch(detail, /^\/dev\/gpiochip\d+ was taken down by somebody else$/);
  service.kill("SIGTERM");
  assertEquals((await service.waitForExit()).code, 0, service.stderr);
});
