/** Watching lines of chips that no guest has armed, and what it leaves behind. */
import { assert, assertEquals } from "@std/assert";
import { clockNs } from "../../ffi/clock.ts";
import { ServiceClient } from "../../src/client/client.ts";
import type { Edge } from "../../src/client/edges.ts";
import { readText, sendRequest } from "../../src/client/http_request.ts";
import type { ApiEvent } from "../../src/client/protocol.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { readRecording } from "../../src/recording/read_recording.ts";
import { signalText } from "../../src/recording/recording.ts";
import {
  Direction,
  EventStatus,
  IrqType,
} from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 120_000;
/** Long enough for an interrupt that should not come to come. */
const QUIET_MS = 300;

/** Notes an aggregator's changed lines as `NAME=VALUE`, up to a certain one. */
function watch(
  api: string,
  aggregator: string,
  last: string,
): { seen: string[]; over: Promise<void> } {
  const seen: string[] = [];
  const listen = async () => {
    for await (const event of new ServiceClient(api).events(aggregator)) {
      if (event.event === "snapshot") seen.push("snapshot");
      if (event.event !== "lines") continue;
      for (const { name, value } of event.lines) seen.push(`${name}=${value}`);
      if (seen.includes(last)) return;
    }
  };
  return { seen, over: listen() };
}

function formatEdge(chip: SimChip, offset: number): string {
  using opened = Chip.open(chip.path);
  return opened.lineInfo(offset).edge;
}

for (const lane of [false, true]) {
  const how = lane ? "in a lane" : "in the reactor";
  Deno.test(`watching shows chip lines that no guest has armed, and leaves them as they were (${how})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 3 });
    await using service = await ConfigService.start((directory) => `
defaults: { lane: ${lane} }
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines:
      - { chip: ${chip.name}, offset: 0, as: IDLE, direction: input }
      - { chip: ${chip.name}, offset: 1, as: ARMED, direction: input }
      - { chip: ${chip.name}, offset: 2, as: LAMP, direction: output }
`);
    using guest = service.guest("plc0");
    const { driver } = guest;
    driver.setInterruptType(1, IrqType.EdgeRising);
    driver.arm(1);
    assertEquals([formatEdge(chip, 0), formatEdge(chip, 1)], [
      "none",
      "rising",
    ]);
    {
      const { seen, over } = watch(service.api, "plc0", "LAMP=1");
      await until("the snapshot", () => seen.length === 1);
      await until(
        "edges are asked for",
        () => formatEdge(chip, 0) === "both" && formatEdge(chip, 1) === "both",
      );
      await chip.pull(0, "up");
      await until("the idle line", () => seen.includes("IDLE=1"));
      assertEquals(driver.waitEvent(QUIET_MS), undefined);
      await chip.pull(1, "up");
      await until("the armed line", () => seen.includes("ARMED=1"));
      assertEquals(driver.waitEvent(LIMIT_MS), {
        lineNumber: 1,
        status: EventStatus.Valid,
      });
      driver.arm(1);
      await chip.pull(1, "down");
      await until("the armed line", () => seen.includes("ARMED=0"));
      assertEquals(driver.waitEvent(QUIET_MS), undefined);
      driver.setValue(2, 1);
      await over;
      assert(!seen.includes("IDLE=0"), seen.join());
    }
    await until(
      "the guest's edges",
      () => formatEdge(chip, 0) === "none" && formatEdge(chip, 1) === "rising",
    );
    await chip.pull(0, "down");
    await chip.pull(1, "up");
    assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, 1);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
  });
}

const ROUNDS = 20;

for (const lane of [false, true]) {
  const how = lane ? "in a lane" : "in the reactor";
  Deno.test(`a guest misses no edge while watchers come and go (${how})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 1 });
    await using service = await ConfigService.start((directory) => `
defaults: { lane: ${lane} }
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines: [{ chip: ${chip.name}, offset: 0, as: STOP, direction: input }]
`);
    using guest = service.guest("plc0");
    const { driver } = guest;
    driver.setInterruptType(0, IrqType.EdgeRising);
    const client = new ServiceClient(service.api);
    const isRising = () => driver.waitEvent(LIMIT_MS)?.lineNumber === 0;
    for (let round = 0; round < ROUNDS; round++) {
      driver.arm(0);
      const events = client.events();
      await events.next();
      // Just now the line is asked for both edges.
      await chip.pull(0, "up");
      assert(isRising(), `round ${round}: a guest comes`);
      driver.arm(0);
      await chip.pull(0, "down");
      await until("the fall", async () => await chip.level(0) === 0);
      // A simulated edge is told so late that it may be told twice.
      if (driver.waitEvent(QUIET_MS / 10) !== undefined) driver.arm(0);
      await events.return();
      await until("the guest's edges", () => formatEdge(chip, 0) === "rising");
      // Just now it is asked for one.
      await chip.pull(0, "up");
      assert(isRising(), `round ${round}: a guest goes`);
      await chip.pull(0, "down");
      await until("the fall", async () => await chip.level(0) === 0);
    }
  });
}

const PULSES = 8;
/** gpio-sim makes edges of a pull on the next tick of its 100 Hz. */
const TICK_MS = 25;
/** Difference of two clocks that are not read at once. **Units**: ns. */
const SLACK_NS = 10_000_000n;

/** Collects the events of a service until it is disposed. */
function listen(api: string) {
  const events: ApiEvent[] = [];
  const stream = new ServiceClient(api).events(undefined, { edges: true });
  const isOver = (async () => {
    for await (const event of stream) events.push(event);
  })();
  return {
    events,
    edges: () =>
      events.flatMap((event) => event.event === "edges" ? event.edges : []),
    async [Symbol.asyncDispose]() {
      await stream.return();
      await isOver;
    },
  };
}

const textOf = ({ aggregator, line, value, cause, rule }: Edge) =>
  `${aggregator}.${line}=${value} ${cause}${
    rule === undefined ? "" : ` ${rule}`
  }`;

Deno.test("pulses on chip lines are edges with the kernel's times, causes and effects in order, and a record of them", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  await using service = await ConfigService.start((directory) => `
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines:
      - { chip: ${chip.name}, offset: 0, as: PULSE, direction: input }
      - { chip: ${chip.name}, offset: 1, as: HEAT, direction: output, safe: 0 }
      - { chip: ${chip.name}, offset: 2, as: PUMP, direction: output, safe: 1 }
      - { const: 1, as: FITTED }
  plc1:
    vhost-user: ${directory}/plc1.sock
    lines:
      - { copy: plc0.PULSE, as: FOLLOWS }
      - { wire: plc0.HEAT, as: IS_HOT }
`);
  await using heard = listen(service.api);
  await until("the snapshot", () => heard.events.length > 0);
  await until("edges are asked for", () => formatEdge(chip, 0) === "both");

  // The service sleeps meanwhile: only the kernel can know when it was.
  const pulledNs: bigint[] = [];
  service.process.kill("SIGSTOP");
  for (let i = 0; i < 2 * PULSES; i++) {
    pulledNs.push(clockNs("realtime"));
    await chip.pull(0, i % 2 === 0 ? "up" : "down");
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  pulledNs.push(clockNs("realtime"));
  service.process.kill("SIGCONT");
  await until("all edges", () => heard.edges().length >= 4 * PULSES);
  const pulses = heard.edges();
  assertEquals(
    pulses.map(textOf),
    pulledNs.slice(1).flatMap((_, i) => {
      const value = 1 - i % 2;
      return [`plc0.PULSE=${value} world`, `plc1.FOLLOWS=${value} follow`];
    }),
  );
  const numbers = pulses.map(({ number }) => number);
  assert(numbers.every((one, i) => i === 0 || one > numbers[i - 1]!));
  const times = pulses.filter(({ cause }) => cause === "world")
    .map(({ time }) => BigInt(time));
  for (const [i, time] of times.entries()) {
    assert(
      pulledNs[i]! - SLACK_NS <= time && time <= pulledNs[i + 1]! + SLACK_NS,
      `edge ${i}: ${times}; pulled: ${pulledNs}`,
    );
  }

  // A guest that leaves: what really changes, and the rule that did it.
  {
    using guest = service.guest("plc0");
    const { driver } = guest;
    driver.setInterruptType(0, IrqType.EdgeBoth);
    driver.arm(0);
    driver.setOutput(1, 1, Direction.Output);
    driver.setOutput(2, 1, Direction.Output);
    driver.setValue(2, 1);
  }
  await until(
    "the safe state and its effect",
    () => heard.edges().some((edge) => textOf(edge) === LAST),
  );
  // Whatever else the end of a guest would bring comes before this.
  await chip.pull(0, "up");
  await until(
    "the pull and its effect",
    () => heard.edges().at(-1)?.line === "FOLLOWS",
  );
  assertEquals(heard.edges().slice(4 * PULSES).map(textOf), [
    "plc0.HEAT=1 guest",
    "plc1.IS_HOT=1 follow",
    "plc0.HEAT=0 rule on-disconnect",
    LAST,
    "plc0.PULSE=1 world",
    "plc1.FOLLOWS=1 follow",
  ]);

  // The record of it says the same.
  const answer = await sendRequest(service.api, {
    method: "GET",
    path: `/v1/history?format=vcd&from=${pulledNs[0]}`,
  });
  const dump = await answer.inTime(readText(answer.body));
  const { signals, edges } = readRecording([new TextEncoder().encode(dump)]);
  const dumped = Array.from({ length: edges.length }, (_, i) => ({
    text: `${signalText(signals[edges.signal(i)]!)}=${edges.value(i)}`,
    ns: edges.timeNs(i),
  })).slice(signals.length);
  const said = heard.edges();
  assertEquals(
    dumped.map(({ text }) => text),
    said.map((edge) => textOf(edge).replace(/ .*/, "")),
  );
  const startNs = BigInt(said[0]!.time) - BigInt(dumped[0]!.ns);
  assertEquals(
    dumped.map(({ ns }) => String(startNs + BigInt(ns))),
    said.map(({ time }) => time),
  );
});

const LAST = "plc1.IS_HOT=0 follow";
