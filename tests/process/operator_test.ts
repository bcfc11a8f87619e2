/** Changes of an operator at a running service, under its guests. */
import {
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ServiceError } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { until } from "../environment/wait.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { Direction } from "../../src/line/port.ts";

/** Runs a command to its end. */
async function gpioagg(...args: readonly string[]) {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args],
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Connects to an aggregator as a guest. */
function guestOf(service: ApiService, name: string): Frontend {
  return Frontend.open(service.socket(name), { timeoutMs: 120_000 });
}

Deno.test("rules of a created aggregator change under its guest, by API and command", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=IN"] },
  });
  const { client, lookClient } = service;
  const events: string[] = [];
  const abort = new AbortController();
  const watching = (async () => {
    const { signal } = abort;
    for await (const event of lookClient.events(undefined, { signal })) {
      if (!("detail" in event)) events.push(event.event);
      else events.push(`${event.event} ${event.aggregator}: ${event.detail}`);
    }
  })().catch((error) => {
    if (error !== abort.signal.reason) throw error;
  });
  await until("the snapshot", () => events.length > 0);
  await client.createLasting({ name: "a", lines: ["sim/2,safe=0"] });
  const rules = async () =>
    (await lookClient.show("a")).lines.map(({ rules }) => rules);
  {
    using frontend = guestOf(service, "a");
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(1, 0, Direction.Output);
    const state = await client.changeRules("a", {
      sim1: { safe: 1, minInterval: "10m" },
    });
    assertEquals(state.lines[1]!.rules, {
      safe: 1,
      onDisconnect: "safe",
      minIntervalUs: 600_000_000,
    });
    assertEquals(await rules(), [
      { safe: 0, onDisconnect: "safe" },
      state.lines[1]!.rules,
    ]);
    // The first change begins the interval.
    driver.setValue(1, 1);
    assertEquals(driver.getValue(1), 1);
    assertThrows(() => driver.setValue(1, 0));
    const args = ["--api", client.socketPath, "a.1"];
    const set = await gpioagg(
      "set-rule",
      ...args,
      "min-interval=none",
      "--json",
    );
    assertEquals([set.code, set.stderr], [0, ""]);
    assertEquals(JSON.parse(set.stdout), {
      aggregator: "a",
      line: "sim1",
      rules: { safe: 1, onDisconnect: "safe" },
    });
    driver.setValue(1, 0);
    for (
      const [words, says] of [
        [["safe=2"], "not a valid value"],
        [["sefe=1"], "mean safe?"],
        [["bias=disabled"], "cannot change under a guest"],
        [["direction=output"], "may not hold for its present direction"],
        [["on-disconnect=input"], "safe=1 is never used"],
      ] as const
    ) {
      const { code, stderr } = await gpioagg("set-rule", ...args, ...words);
      assertNotEquals(code, 0);
      assertStringIncludes(stderr, says);
    }
  }
  // The guest is gone: the new safe value.
  await until(
    "the new safe value",
    async () => (await lookClient.show("a")).lines[1]!.value === 1,
  );
  const own = await assertRejects(
    () => client.changeRules("own", { IN: { safe: 1 } }),
    ServiceError,
  );
  assertEquals(own.status, 409);
  assertStringIncludes(own.message, "own configuration");
  const look = await assertRejects(
    () => lookClient.changeRules("a", { sim0: { safe: 1 } }),
    ServiceError,
  );
  assertEquals(look.status, 403);
  await until(
    "the events",
    () => events.some((one) => /minInterval.*null/.test(one)),
  );
  abort.abort();
  await watching;
  assertEquals(
    events.filter((one) => one.startsWith("changed a: rules by uid")).length,
    2,
  );
  const done = service.audit().filter(({ action }) => action === "rules");
  assertEquals(done.filter(({ outcome }) => outcome === "done").length, 2);
  assertEquals(done.at(0)!.lines, [
    'sim1: {"safe":1,"minInterval":"10m"}',
  ]);
});
