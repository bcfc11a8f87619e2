/** `/metrics` of a running service beside what really happened. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { ApiService } from "../environment/api_service.ts";
import { ConfigService } from "../environment/config_service.ts";
import { type Labels, MetricsPage } from "../environment/metrics.ts";
import { until } from "../environment/wait.ts";

const DURATION = "gpioagg_request_duration_seconds";

async function fetchPage(client: ServiceClient): Promise<MetricsPage> {
  return new MetricsPage(await client.metrics());
}

/** A line's histogram counts every request that is counted of the line. */
function checkHistogram(page: MetricsPage, labels: Labels): void {
  const requests = page.sum("gpioagg_requests_total", labels);
  assertEquals(page.sum(`${DURATION}_count`, labels), requests);
  assertEquals(
    page.sum(`${DURATION}_bucket`, { ...labels, le: "+Inf" }),
    requests,
  );
  const sum = page.sum(`${DURATION}_sum`, labels);
  assert(requests === 0 || sum > 0, `${sum} s in ${requests} requests`);
}

Deno.test("the latency histogram of each line has each of its requests, and no others", async () => {
  await using service = await ApiService.start({
    aggregators: { plc: ["sim/3", "sim/1,as=IN,direction=input"] },
  });
  using frontend = Frontend.open(service.socket("plc"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  const REQUESTS = 500;
  driver.setOutput(0, 0, Direction.Output);
  for (let i = 0; i < REQUESTS; i++) driver.setValue(0, i & 1);
  for (let i = 0; i < 7; i++) driver.getValue(2);
  driver.names();
  assertThrows(() => driver.setDirection(3, Direction.Output), RequestRefused);
  assertThrows(() => driver.getValue(9), RequestRefused);
  const page = await fetchPage(service.lookClient);
  const line = (number: number) => ({ aggregator: "plc", line: number });
  assertEquals(
    [0, 1, 2, 3].map((at) => page.sum(`${DURATION}_count`, line(at))),
    [REQUESTS + 2, 0, 7, 1],
  );
  for (const at of [0, 2, 3]) checkHistogram(page, line(at));
  assertEquals(
    page.sum("gpioagg_requests_total", {
      ...line(3),
      kind: "set_direction",
      result: "error",
    }),
    1,
  );
  assertEquals(page.sum("gpioagg_refusals_total", line(3)), 1);
  assertEquals(page.count(`${DURATION}_bucket`, line(1)), 0);
  // Cumulative: no bucket has less than the one before.
  const counts = [...page.text.matchAll(
    /^gpioagg_request_duration_seconds_bucket\{aggregator="plc",line="0".*\} (\d+)$/gm,
  )].map(([, count]) => Number(count));
  assertEquals(counts, counts.toSorted((a, b) => a - b));
  assert(counts.length > 10);
});

Deno.test("pins inside QEMU: requests, latency, levels, refusals and resets are counted", async () => {
  await using service = await ApiService.start();
  await service.client.createLasting({
    name: "press",
    lines: [
      "sim/1,as=LAMP,direction=output,safe=0",
      "sim/1,as=BUTTON,direction=input",
      "sim/1,as=UNUSED",
    ],
    qemuPins: {
      qtest: `${service.directory}/qtest`,
      qmp: `${service.directory}/qmp`,
    },
  });
  const of = (name: string) => ({ aggregator: "press", name });
  let page = await fetchPage(service.lookClient);
  const reaches = (what: string, is: (page: MetricsPage) => boolean) =>
    until(what, async () => {
      page = await fetchPage(service.lookClient);
      return is(page);
    });
  {
    using qemu = new RunningQemu(service.directory);
    const { gpio } = qemu.model;
    await until("the first levels", () => gpio.inputs.length === 2);
    // The guest turns both pins round, and drives one of them up and down.
    gpio.setDirections(0b11);
    for (let i = 1; i <= 20; i++) gpio.setData(i & 1);
    await reaches(
      "the lamp's changes",
      (page) =>
        page.sum("gpioagg_requests_total", {
          ...of("LAMP"),
          kind: "set_value",
        }) >=
          20,
    );
    assertEquals(
      page.sum("gpioagg_requests_total", {
        ...of("LAMP"),
        kind: "set_direction",
        result: "ok",
      }),
      1,
    );
    await reaches(
      "the button's refusal",
      (page) => page.sum("gpioagg_refusals_total", of("BUTTON")) === 1,
    );
    assertEquals(
      page.sum("gpioagg_requests_total", {
        ...of("BUTTON"),
        kind: "set_direction",
        result: "error",
      }),
      1,
    );
    await service.process.waitFor('"event":"refused"');
    gpio.setDirections(0b01);
    await reaches(
      "the button's pin as an input",
      (page) => page.sum("gpioagg_pin_levels_total", of("BUTTON")) === 2,
    );
    await service.client.pull("press", { BUTTON: 1 });
    await reaches(
      "the button's level",
      (page) => page.sum("gpioagg_pin_levels_total", of("BUTTON")) === 3,
    );
    // Counted as it is sent: QEMU has it a moment later.
    await until("the level in QEMU", () => gpio.inputs.at(-1)?.[1] === 1);
    assertEquals(gpio.inputs.at(-1), [1, 1]);
    assertEquals(page.sum("gpioagg_pin_reports_total"), 20);
    for (const name of ["LAMP", "BUTTON"]) checkHistogram(page, of(name));
    assertEquals(page.count(`${DURATION}_count`, of("UNUSED")), 0);
    // A virtio-gpio device's counters say nothing here.
    assertEquals(page.count("gpioagg_interrupts_total"), 0);
    assertEquals(page.count("gpioagg_refused_chains_total"), 0);

    qemu.model.reset();
    await reaches(
      "the reset",
      (page) => page.sum("gpioagg_pin_resets_total") === 1,
    );
    assertEquals(page.sum("gpioagg_aggregator_connected"), 1);
    assertEquals(page.sum("gpioagg_connections_total"), 1);
    assert(page.sum("gpioagg_aggregator_uptime_seconds") > 0);
  }
  await reaches(
    "QEMU's end",
    (page) => page.sum("gpioagg_aggregator_connected") === 0,
  );
  // Nothing begins anew with the next QEMU.
  const before = page.sum("gpioagg_requests_total");
  using _next = new RunningQemu(service.directory);
  await reaches(
    "the next QEMU",
    (page) => page.sum("gpioagg_connections_total") === 2,
  );
  assert(page.sum("gpioagg_requests_total") >= before);
});

Deno.test("counters go on when rules change and guests come and go; a removed aggregator has none", async () => {
  const config = (rule: string) => (directory: string) =>
    `aggregators:
  plc:
    vhost-user: ${directory}/plc.sock
    lines: [ "sim/1,as=LAMP${rule}", "sim/1,as=IN" ]
`;
  await using service = await ConfigService.start(config(""));
  const client = new ServiceClient(service.api);
  const drive = () => {
    using guest = service.guest("plc");
    guest.driver.setOutput(0, 1, Direction.Output);
    guest.driver.setInterruptType(1, IrqType.EdgeBoth);
    guest.driver.arm(1);
  };
  drive();
  await client.pull("plc", { IN: 1 });
  const count = async () => {
    const page = await fetchPage(client);
    return [
      "gpioagg_requests_total",
      `${DURATION}_count`,
      "gpioagg_connections_total",
      "gpioagg_respawns_total",
    ].map((name) => page.sum(name));
  };
  assertEquals(await count(), [3, 3, 1, 0]);
  const { code, stderr } = await service.reload(config(",safe=0"));
  assertEquals(code, 0, stderr);
  assertEquals(await count(), [3, 3, 1, 0]);
  drive();
  assertEquals(await count(), [6, 6, 2, 1]);
  await service.reload((directory) =>
    config("")(directory).replaceAll("plc", "other")
  );
  const page = await fetchPage(client);
  assertEquals(page.sum("gpioagg_connections_total"), 0);
  assertEquals(page.sum("gpioagg_aggregators"), 1);
  assert(!page.text.includes('aggregator="plc"'), page.text);
});

Deno.test("events that are too many to be told are counted", async () => {
  await using service = await ApiService.start({
    aggregators: { plc: ["sim/1,direction=input"] },
  });
  using frontend = Frontend.open(service.socket("plc"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  for (let i = 0; i < 100; i++) {
    assertThrows(
      () => driver.setDirection(0, Direction.Output),
      RequestRefused,
    );
  }
  const page = await fetchPage(service.lookClient);
  assertEquals(page.sum("gpioagg_refusals_total"), 100);
  const leftOut = page.sum("gpioagg_events_left_out_total", {
    aggregator: "plc",
    event: "refused",
  });
  // Some were told: the first ones, and one now and then.
  assert(leftOut >= 50 && leftOut < 90, `${leftOut} were left out`);
  assertEquals(page.sum("gpioagg_event_listeners_missed_total"), 0);
});

Deno.test("the time for which lines are active is that of their edges", async () => {
  await using service = await ApiService.start({
    aggregators: { plc: ["sim/1,as=LAMP", "sim/1,as=IN,direction=input"] },
  });
  using frontend = Frontend.open(service.socket("plc"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  driver.setOutput(0, 0, Direction.Output);
  for (let i = 1; i <= 40; i++) driver.setValue(0, i & 1);
  await service.client.pull("plc", { IN: 1 });
  const { edges, to } = await service.client.history();
  const active = (line: string): number => {
    let total = 0n;
    let since: bigint | undefined;
    for (const edge of edges.filter((edge) => edge.line === line)) {
      if (since !== undefined) total += BigInt(edge.time) - since;
      since = edge.value === 1 ? BigInt(edge.time) : undefined;
    }
    if (since !== undefined) total += BigInt(to) - since;
    return Number(total) / 1e9;
  };
  const page = await fetchPage(service.lookClient);
  const shown = (name: string) =>
    page.sum("gpioagg_line_active_seconds_total", { name });
  const lamp = shown("LAMP");
  assert(lamp > 0 && Math.abs(lamp - active("LAMP")) < 1e-8, `${lamp} s`);
  // It is still active: more than when the history was asked for.
  assert(shown("IN") >= active("IN") && active("IN") > 0);
});
