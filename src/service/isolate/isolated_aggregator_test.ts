/** An isolated aggregator and its server, both in this process. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { until } from "../../../tests/environment/wait.ts";
import { duplicate } from "../../../ffi/files.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { Frontend } from "../../vhost_frontend/frontend.ts";
import { GpioDriver } from "../../vhost_frontend/driver.ts";
import type { ServiceEvent } from "../messages/messages.ts";
import { sleep } from "../../async/wait.ts";
import { serveIsolated } from "./aggregator_process.ts";
import { ProcessChannel } from "./process_channel.ts";
import { IsolatedAggregator } from "./isolated_aggregator.ts";

/** A server in place of a process, for a directory of sockets. */
async function rig() {
  const directory = Deno.makeTempDirSync();
  const events: ServiceEvent[] = [];
  const statuses: number[] = [];
  const isolated = await IsolatedAggregator.start({
    events: { service: (event) => void events.push(event) },
    store: undefined,
    startProcess: (socketFd) => {
      const fd = duplicate(socketFd).release();
      serveIsolated(fd).then((status) => statuses.push(status));
      return { pid: 0 };
    },
  });
  const aggregator = (name: string, spec: string): AggregatorSpecification => ({
    name,
    vhostUser: { socketPath: `${directory}/${name}.sock` },
    lines: [...parseLineSpec(spec)],
  });
  return {
    isolated,
    aggregator,
    events,
    statuses,
    socket: (name: string) => `${directory}/${name}.sock`,
    [Symbol.asyncDispose]: async () => {
      isolated.end();
      await until("the server has ended", () => statuses.length > 0);
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

Deno.test("IsolatedAggregator has its commands done by its server", async () => {
  await using it = await rig();
  const { isolated } = it;
  const [added] = await isolated.add([it.aggregator("a", "sim/2,as=P")], {});
  assertEquals(added!.lines.map(({ name }) => name), ["P0", "P1"]);
  assertEquals(isolated.names, ["a"]);
  await isolated.pull("a", [{ line: 0, level: 1 }]).catch(() => {});
  assertEquals((await isolated.describe("a")).length, 1);
  assertEquals(await isolated.describe("b").catch(() => []), []);
  assertEquals(await isolated.pending(), []);
  assertEquals((await isolated.count()).length > 0, true);
  await isolated.observe(true);
  await isolated.observe(false);
  await isolated.setInterlocks([]);
  await isolated.dropUnused();
  const changed = await isolated.changeRules([
    it.aggregator("a", "sim/2,as=P,safe=0"),
  ]);
  assertEquals(changed.map(({ name }) => name), ["a"]);
  const removed = await isolated.remove("a", "remove");
  assertEquals(removed.map(({ name }) => name), ["a"]);
  assertEquals(isolated.names, []);
});

Deno.test("IsolatedAggregator hands on its guest's events, and its errors", async () => {
  await using it = await rig();
  const { isolated } = it;
  await isolated.add([it.aggregator("a", "sim/1,as=P")], { isTimed: true });
  {
    using frontend = Frontend.open(it.socket("a"), { timeoutMs: 60_000 });
    assertEquals(GpioDriver.attach(frontend).names(), ["P"]);
    await until(
      "the guest was reported",
      () => it.events.some(({ event }) => event === "started"),
    );
  }
  await until(
    "its end was reported",
    () => it.events.some(({ event }) => event === "disconnected"),
  );
  const error = await assertRejects(
    () => isolated.add([it.aggregator("b", "gpiochip4000/0")], {}),
  );
  assertMatch(String(error), /gpiochip4000/);
  await assertRejects(() => isolated.remove("c", "removeWhole"));
});

Deno.test("IsolatedAggregator ends its server with its lines as declared", async () => {
  await using it = await rig();
  await it.isolated.add([it.aggregator("a", "sim/1,safe=1")], {});
  await it.isolated.shutdown(() => Promise.reject(new Error("not its part")));
  await until("the server has ended", () => it.statuses.length > 0);
  assertEquals(it.statuses, [0]);
});

Deno.test("what the start of a process needs is kept until it is ready", async () => {
  const statuses: number[] = [];
  const needed = Promise.withResolvers<number>();
  let isFreed = false;
  const start = IsolatedAggregator.start({
    events: { service: () => {} },
    store: undefined,
    startProcess: (socketFd) => {
      needed.resolve(duplicate(socketFd).release());
      return { pid: 0, started: () => isFreed = true };
    },
  });
  const fd = await needed.promise;
  await sleep(20);
  assertEquals(isFreed, false);
  serveIsolated(fd).then((status) => statuses.push(status));
  const isolated = await start;
  assertEquals(isFreed, true);
  isolated.end();
  await until("the server has ended", () => statuses.length > 0);
});

Deno.test("IsolatedAggregator leaves out what its process says of others' aggregators", async () => {
  const said = (name: string) => ({
    name,
    presentation: "nowhere",
    connected: false,
    servedSince: 0,
    lines: [],
    aggregator: name,
    line: "P",
    rule: "safe value 0",
    reason: "none",
    since: 0,
  });
  const both = [said("a"), said("press")];
  const answers: Record<string, unknown> = { add: [said("a")] };
  const problems: string[] = [];
  let channel: ProcessChannel | undefined;
  const isolated = await IsolatedAggregator.start({
    events: { service: () => {}, problem: (text) => void problems.push(text) },
    store: undefined,
    startProcess: (socketFd) => {
      const liar: ProcessChannel = new ProcessChannel(duplicate(socketFd), {
        message: (value): void => {
          const { kind, id, name } = value as Record<string, string>;
          if (kind === "start") return liar.send({ kind: "ready" });
          const result = answers[name!] ?? both;
          liar.send({ kind: "problem", text: name });
          liar.send({ kind: "done", id, result });
        },
        ended: () => {},
      });
      channel = liar;
      return { pid: 0 };
    },
  });
  const lines = [...parseLineSpec("sim/1")];
  await isolated.add([{ name: "a", lines }], {});
  const namesOf = (all: { name: string }[]) => all.map(({ name }) => name);
  assertEquals(namesOf(await isolated.describe()), ["a"]);
  assertEquals(namesOf(await isolated.count()), ["a"]);
  const pending = await isolated.pending();
  assertEquals(pending.map(({ aggregator }) => aggregator), ["a"]);
  assertEquals(namesOf(await isolated.remove("a", "removeWhole")), ["a"]);
  assertEquals(problems.includes("describe"), true);
  isolated.end();
  channel?.[Symbol.dispose]();
});
