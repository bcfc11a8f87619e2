/** Conditions on lines of a running service. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

function start(service: ApiService, ...args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      "wait",
      "--api",
      service.lookClient.socketPath,
      ...args,
    ],
  });
}

Deno.test("wait sees a pulse that is over before it can look", async () => {
  await using service = await ApiService.start({
    aggregators: { press: ["sim/1,as=START", "sim/1,as=STOP"] },
  });
  for (const condition of ["rising", "falling", "1"]) {
    await using process = start(
      service,
      `press.START=${condition}`,
      "press.STOP=0",
    );
    await until(
      "it listens",
      async () => /_listeners 1\n/.test(await service.client.metrics()),
      120_000,
    );
    await service.client.pull("press", { START: 1 });
    await service.client.pull("press", { START: 0 });
    const { code } = await process.waitForExit();
    assertEquals(
      [code, process.stdout, process.stderr],
      [0, "", ""],
      condition,
    );
    await until(
      "it listens no more",
      async () => !/_listeners 1\n/.test(await service.client.metrics()),
      120_000,
    );
  }
});

Deno.test("wait tells what is missing once its time is over", async () => {
  await using service = await ApiService.start({
    aggregators: { press: ["sim/1,as=START"] },
  });
  await using process = start(
    service,
    "press.START=0",
    "press.START=rising",
    "--timeout=200ms",
    "--json",
  );
  const { code } = await process.waitForExit();
  assertEquals(code, 3, process.stderr);
  assertMatch(
    process.stderr,
    /^gpioagg: not in time: press.START=rising \(it is 0\)\n$/,
  );
  const { reached, afterMs, conditions } = JSON.parse(process.stdout);
  assertEquals(reached, false);
  assert(afterMs >= 200, String(afterMs));
  assertEquals(conditions.map(({ met }: { met: boolean }) => met), [
    true,
    false,
  ]);
});
