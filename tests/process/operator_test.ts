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
import { MetricsPage } from "../environment/metrics.ts";
import { until } from "../environment/wait.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { Direction } from "../../src/line/port.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";

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
function connectGuest(service: ApiService, name: string): Frontend {
  return Frontend.open(service.socket(name), { timeoutMs: 120_000 });
}

/** Events of a service as texts, until it is disposed. */
function collectEvents(service: ApiService) {
  const events: string[] = [];
  const abort = new AbortController();
  const { signal } = abort;
  const watching = (async () => {
    const stream = service.lookClient.events(undefined, {
      signal,
      edges: true,
    });
    for await (const event of stream) {
      if (event.event === "edges") {
        for (const { aggregator, line, value, cause } of event.edges) {
          events.push(`${aggregator}.${line}=${value} ${cause}`);
        }
      } else if ("detail" in event) {
        const { aggregator, detail } = event;
        events.push(`${event.event} ${aggregator}: ${detail}`);
      } else events.push(event.event);
    }
  })().catch((error) => {
    if (error !== signal.reason) throw error;
  });
  return {
    events,
    /** Waits for an event. */
    heard: (what: RegExp) =>
      until(`${what}`, () => events.some((one) => what.test(one))),
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      await watching;
    },
  };
}

Deno.test("rules of a created aggregator change under its guest, by API and command", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=IN"] },
  });
  const { client, lookClient } = service;
  await using watch = collectEvents(service);
  await watch.heard(/^snapshot$/);
  await client.createLasting({ name: "a", lines: ["sim/2,safe=0"] });
  const rules = async () =>
    (await lookClient.show("a")).lines.map(({ rules }) => rules);
  {
    using frontend = connectGuest(service, "a");
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
        [["on-disconnect=input"], "gpioagg: a.1: safe=1 is never used"],
        [["safe-after=1us", "safe=none"], 'gpioagg: a.1: "safe-after" needs'],
      ] as const
    ) {
      const { code, stderr } = await gpioagg("set-rule", ...args, ...words);
      assertNotEquals(code, 0);
      assertStringIncludes(stderr, says);
    }
  }
  const contradicting = await assertRejects(
    () => client.changeRules("a", { sim0: { safe: null, safeAfter: "1s" } }),
    ServiceError,
    'rules.sim0: "safe-after" needs a value',
  );
  assertEquals(contradicting.path, "rules.sim0");
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
  await watch.heard(/minInterval.*null/);
  assertEquals(
    watch.events.filter((one) => one.startsWith("changed a: rules by uid"))
      .length,
    2,
  );
  const done = service.audit().filter(({ action }) => action === "rules");
  assertEquals(done.filter(({ outcome }) => outcome === "done").length, 2);
  assertEquals(done.at(0)!.lines, [
    'sim1: {"safe":1,"minInterval":"10m"}',
  ]);
});

Deno.test("an operator holds lines at values, under their guest, until the end of either", async () => {
  await using service = await ApiService.start({
    aggregators: {
      press: ["sim/1,as=START", "sim/1,as=VALVE,safe=0", "sim/1,as=LAMP"],
    },
  });
  const { client, lookClient } = service;
  await using watch = collectEvents(service);
  await watch.heard(/^snapshot$/);
  const lineOf = async (number: number) =>
    (await lookClient.show("press")).lines[number]!;
  const free = (number: number) =>
    until(
      "a free line",
      async () => (await lineOf(number)).forced === undefined,
    );
  const reason = "a \u001b[31mtest";
  {
    using frontend = connectGuest(service, "press");
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(1, 0, Direction.Output);
    driver.setInterruptType(0, IrqType.EdgeBoth);
    driver.arm(0);
    {
      using force = await client.force("press", {
        lines: { START: 1, VALVE: 1 },
        for: "1h",
        reason,
      });
      const [start, valve] = force.state.lines;
      const { until: end, by, ...forced } = valve!.forced!;
      assertEquals(forced, { value: 1, otherwise: 0, reason });
      assertEquals(start!.forced!.value, 1);
      assertEquals([start!.value, valve!.value], [1, 1]);
      assertEquals(by, start!.forced!.by);
      assertEquals(end > Date.now(), true);
      assertEquals(driver.waitEvent(120_000)?.lineNumber, 0);
      assertEquals([driver.getValue(0), driver.getValue(1)], [1, 1]);
      driver.setValue(1, 0);
      assertEquals(driver.getValue(1), 1);
      // The world goes on behind it.
      await client.pull("press", { START: 1 });
      await client.pull("press", { START: 0 });
      assertEquals((await lineOf(0)).forced!.otherwise, 0);
      const page = new MetricsPage(await lookClient.metrics());
      assertEquals(page.sum("gpioagg_line_forced"), 2);
    }
    // Its client has closed the connection.
    await free(0);
    await free(1);
    assertEquals([driver.getValue(0), driver.getValue(1)], [0, 0]);
    await watch.heard(/^press.VALVE=0 operator$/);
    assertEquals(
      watch.events.filter((one) => one.startsWith("press.START=")),
      ["press.START=1 operator", "press.START=0 operator"],
    );
    await watch.heard(/^unforced press: VALVE: the client is gone$/);
    const told = watch.events.find((one) =>
      one.startsWith("forced press: START")
    );
    assertStringIncludes(told!, "by uid ");
    assertEquals(told!.includes("\u001b"), false);
    // Its time.
    const short = await client.force("press", {
      lines: { VALVE: 1 },
      for: "50ms",
      reason,
    });
    assertStringIncludes(await short.ended, "its time is over");
    assertEquals(driver.getValue(1), 0);
    // A connection and another operator.
    using other = await client.force("press", {
      lines: { VALVE: 1 },
      for: "1h",
      reason,
    });
    await client.endForce("press", ["VALVE"]);
    assertStringIncludes(await other.ended, "ended by uid");
    assertEquals(driver.getValue(1), 0);
    await client.forceDetached("press", {
      lines: { VALVE: 1, LAMP: 1 },
      for: "1h",
      reason,
    });
    assertEquals(driver.getValue(1), 1);
  }
  // The guest is gone: its safe state is not overridden, nor is it put off.
  await free(1);
  assertEquals((await lineOf(1)).value, 0);
  assertEquals((await lineOf(2)).forced!.value, 1, "an input needs no guest");
  const refused = await assertRejects(
    () =>
      client.forceDetached("press", {
        lines: { VALVE: 1 },
        for: "1h",
        reason,
      }),
    ServiceError,
  );
  assertEquals(refused.status, 409);
  assertStringIncludes(refused.message, "safe state is not overridden");
  for (
    const [request, says] of [
      [{ lines: { VALVE: 0 }, for: "25h", reason }, "for: "],
      [{ lines: { VALVE: 0 }, for: "1s", reason: " " }, "reason: "],
      [{ lines: {}, for: "1s", reason }, "lines: "],
    ] as const
  ) {
    const { status, message } = await assertRejects(
      () => client.forceDetached("press", request),
      ServiceError,
    );
    assertEquals(status, 400);
    assertStringIncludes(message, says);
  }
  await assertRejects(
    () => lookClient.endForce("press"),
    ServiceError,
    "for reading only",
  );
  await client.endForce("press");
  await free(2);
  const entries = service.audit();
  const forces = entries.filter(({ action }) => action === "force");
  assertEquals(forces[0]!.lines, ["START=1 for 3600 s", "VALVE=1 for 3600 s"]);
  assertEquals(forces[0]!.why, reason);
  assertEquals(
    entries.filter(({ action, outcome }) =>
      action === "force-end" && outcome === "done"
    ).map(({ reason, lines }) => reason ?? lines ?? "all"),
    ["the client is gone", ["VALVE"], "all"],
  );
});

Deno.test("gpioagg force holds lines while it runs, and ends forces", async () => {
  await using service = await ApiService.start({
    aggregators: { press: ["sim/1,as=START"], crane: ["sim/1,as=STOP"] },
  });
  const { client } = service;
  const args = ["force", "--api", client.socketPath];
  const manner = ["--reason", "test", "--for"];
  const forced = async () =>
    (await client.lines()).map(({ forced }) => forced?.value);
  {
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...PROGRAM,
        ...args,
        "press.START=1",
        "crane.0=0",
        ...manner,
        "1h",
      ],
    });
    await process.waitFor("crane.STOP=0 for 1h");
    assertEquals(await forced(), [1, 0]);
    process.kill("SIGINT");
    assertEquals((await process.waitForExit({ timeoutMs: 120_000 })).code, 0);
  }
  await until(
    "free lines",
    async () => (await forced()).every((value) => value === undefined),
  );
  const short = await gpioagg(...args, "press.START=1", ...manner, "10ms");
  assertEquals([short.code, short.stderr], [0, ""]);
  const detached = await gpioagg(
    ...args,
    "press.START=1",
    "crane.STOP=1",
    ...manner,
    "1h",
    "--detach",
    "--json",
  );
  assertEquals(
    [
      detached.code,
      detached.stdout.split("\n").map((line) => line && JSON.parse(line)),
    ],
    [0, [
      { aggregator: "press", forced: { START: 1 }, for: "1h", reason: "test" },
      { aggregator: "crane", forced: { STOP: 1 }, for: "1h", reason: "test" },
      "",
    ]],
  );
  assertEquals(await forced(), [1, 1]);
  assertEquals((await gpioagg(...args, "--end", "press.START")).code, 0);
  assertEquals(await forced(), [undefined, 1]);
  assertEquals((await gpioagg(...args, "--end", "crane")).code, 0);
  assertEquals(await forced(), [undefined, undefined]);
  for (
    const [words, status, says] of [
      [["press.START=1"], 2, "needs --for TIME and --reason TEXT"],
      [["press.START=2", ...manner, "1s"], 2, "NAME.LINE=0"],
      [["press.START=1", ...manner, "1x"], 2, "--for"],
      [["press.STRAT=1", ...manner, "1s"], 1, "Did you mean press.START?"],
      [["--end"], 2, "--end needs"],
    ] as const
  ) {
    const { code, stderr } = await gpioagg(...args, ...words);
    assertEquals(code, status, stderr);
    assertStringIncludes(stderr, says);
  }
});
