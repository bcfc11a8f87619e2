/** Lines of a service by the GPIO tools. */
import { assertEquals, assertMatch } from "@std/assert";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

function tool(service: ApiService, name: string, ...args: string[]) {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      name,
      "--api",
      service.lookClient.socketPath,
      ...args,
    ],
  });
}

Deno.test("get, info and mon see lines that a service has", async () => {
  await using service = await ApiService.start({
    aggregators: { press: ["sim/1,as=START", "const/1,as=FITTED"] },
  });
  {
    await using get = tool(service, "get", "press.START", "press.FITTED");
    const { code } = await get.waitForExit();
    assertEquals([code, get.stdout, get.stderr], [
      0,
      '"press.START"=inactive "press.FITTED"=active\n',
      "",
    ]);
  }
  {
    await using info = tool(service, "info", "press");
    const { code } = await info.waitForExit();
    assertEquals(code, 0, info.stderr);
    assertMatch(info.stdout, /^press 0\t"START" +\tinput consumer="gpioagg"\n/);
  }
  await using mon = tool(
    service,
    "mon",
    "--banner",
    "--num-events=4",
    "--format=%l %E",
    "press.START",
  );
  await mon.waitFor("Monitoring line 'press.START'...");
  for (const value of [1, 0, 1, 0] as const) {
    await service.client.pull("press", { START: value });
  }
  const { code } = await mon.waitForExit();
  assertEquals([code, mon.stderr], [0, ""]);
  assertEquals(
    mon.stdout.split("\n").slice(1),
    ["START rising", "START falling", "START rising", "START falling", ""],
  );
});
