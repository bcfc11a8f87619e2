/** Lines as data: where they come from, their rules, and what drives them. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import type { Line } from "../../src/client/protocol.ts";
import { Direction } from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";

const CONFIG = (directory: string) =>
  `aggregators:
  press:
    vhost-user: ${directory}/press.sock
    lines:
      - { sim: 1, as: FORWARD, direction: output, safe: 0 }
      - { sim: 1, as: REVERSE, direction: output, safe: 0 }
    interlocks:
      - exclusive: [FORWARD, REVERSE]
  crane:
    vhost-user: ${directory}/crane.sock
    isolate: process
    lines: [ "sim/1,as=HOOK", "const/1,as=FITTED" ]
`;

/** Members of a line that stay, without its present state. */
function fixed(
  { name, origin, rules, interlocks }: Line,
): unknown[] {
  return [name, origin, rules, interlocks];
}

Deno.test("lines of the API have their source, rules, interlocks and last cause as data", async () => {
  await using service = await ConfigService.start(CONFIG);
  const client = new ServiceClient(service.api);
  const sim = { kind: "sim" } as const;
  const rules = {
    direction: "output",
    safe: 0,
    onDisconnect: "safe",
  } as const;
  const expected = [
    ["FORWARD", sim, rules, ["press.REVERSE"]],
    ["REVERSE", sim, rules, ["press.FORWARD"]],
    ["HOOK", sim, undefined, undefined],
    ["FITTED", { kind: "const", value: 1 }, { direction: "input" }, undefined],
  ];
  assertEquals((await client.lines()).map(fixed), expected);
  const { lines } = await client.show("press");
  assertEquals(lines.map(fixed), expected.slice(0, 2));

  const driverOf = async (name: string) =>
    (await client.lines()).find((line) => line.name === name)!;
  const began = Date.now();
  await client.pull("crane", { HOOK: 1 });
  const hook = await driverOf("HOOK");
  assertEquals(hook.drivenBy, "operator");
  assert(hook.since! >= began - 1000 && hook.since! <= Date.now() + 1000);
  {
    using guest = service.guest("press");
    guest.driver.setOutput(0, 1, Direction.Output);
    assertEquals((await driverOf("FORWARD")).drivenBy, "guest");
  }
  // Its guest is gone.
  let forward = await driverOf("FORWARD");
  while (forward.value !== 0) forward = await driverOf("FORWARD");
  assertEquals(forward.drivenBy, "rule");
  const shown = await service.run(
    "show",
    "press",
    "--json",
    "--api",
    service.api,
  );
  assertEquals(JSON.parse(shown.stdout).lines[0].interlocks, ["press.REVERSE"]);
  const { stdout } = await service.run("show", "press", "--api", service.api);
  assertMatch(
    stdout,
    /^1 +REVERSE +output +0 +rule +\d[-T:.\d]{22} +simulated line REVERSE +direction=output,safe=0 +press\.FORWARD$/m,
  );
});
