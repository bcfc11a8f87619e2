/** `/metrics` of real chips. */
import { assert, assertEquals } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { waitUntil } from "../../src/async/wait.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { ApiService } from "../environment/api_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { until } from "../environment/wait.ts";

/** Edges that the kernel keeps of a line for a service that is late. */
const BUFFERED = 512;
const EDGES = BUFFERED + 8;

/**
 * Returns how many interrupts of each line the kernel has seen: those of the
 * only simulated chip, whose interrupt controller is "irq_sim".
 */
function interrupts(): Map<number, number> {
  const text = readSmallFile("/proc/interrupts")!;
  const rows = text.matchAll(/^ *\d+: +(\d+).* irq_sim +(\d+) /gm);
  return new Map([...rows].map(([, count, line]) => [Number(line), +count!]));
}

Deno.test("edges that the kernel dropped before they were read are counted, in lanes too", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  await using service = await ApiService.start({
    aggregators: {
      quick: [`${chip.name}/0`],
      slow: [`${chip.name}/1,lane=true`],
      still: [`${chip.name}/2`],
    },
  });
  const names = ["quick", "slow", "still"];
  using guests = new DisposableStack();
  for (const name of names) {
    const frontend = guests.use(
      Frontend.open(service.socket(name), { timeoutMs: 120_000 }),
    );
    const driver = GpioDriver.attach(frontend);
    // Asked for, given up and asked for again: the kernel goes on counting.
    for (const type of [IrqType.EdgeBoth, IrqType.None, IrqType.EdgeBoth]) {
      driver.setInterruptType(0, type);
    }
  }
  const look = async () => new MetricsPage(await service.lookClient.metrics());
  const read = (page: MetricsPage, aggregator: string) =>
    page.sum("gpioagg_interrupts_total", { aggregator });
  const lost = (page: MetricsPage, aggregator: string, where: string) =>
    page.sum("gpioagg_lost_changes_total", { aggregator, where });
  await chip.pull(0, "up");
  await chip.pull(1, "up");
  await chip.pull(2, "up");
  await until("an edge of each", async () => {
    const page = await look();
    return names.every((name) => read(page, name) === 1);
  });
  service.process.kill("SIGSTOP");
  const before = interrupts();
  for (let i = 1; i <= EDGES; i++) {
    for (const line of [0, 1]) {
      await chip.pull(line, i % 2 === 0 ? "up" : "down");
    }
    // Of two pulls at once the kernel may see one edge, or none.
    const areSeen = await waitUntil(() => {
      const now = interrupts();
      return [0, 1].every((line) => now.get(line) === before.get(line)! + i);
    }, 60_000);
    assert(areSeen, `edge ${i}`);
  }
  await chip.pull(2, "down");
  service.process.kill("SIGCONT");
  let page = await look();
  await until("what the kernel kept", async () => {
    page = await look();
    return read(page, "quick") === 1 + BUFFERED &&
      read(page, "slow") + lost(page, "slow", "lane") === 1 + BUFFERED;
  });
  for (const name of ["quick", "slow"]) {
    assertEquals(lost(page, name, "kernel"), EDGES - BUFFERED, name);
  }
  for (const aggregator of names) {
    const requests = page.sum("gpioagg_requests_total", { aggregator });
    assertEquals(
      page.sum("gpioagg_request_duration_seconds_count", { aggregator }),
      requests,
    );
    assertEquals(requests, 3);
  }
  assertEquals(read(page, "still"), 2);
  assertEquals(lost(page, "still", "kernel"), 0);
});

Deno.test("a kernel chip tells whether it is there and used, and since when; nothing after its end", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using service = await ApiService.start();
  const { kernelChip } = await service.client.createLasting({
    name: "node",
    lines: [`${chip.name}/0`, `${chip.name}/1`],
    kernelChip: {},
  });
  const samples = async () => {
    const text = await service.lookClient.metrics();
    return text.split("\n").filter((line) => line.includes('"node"'))
      .map((line) => line.replace(/(uptime.*) [\d.]+$/, "$1 N"));
  };
  const expected = (isUsed: 0 | 1) => [
    `gpioagg_aggregator_connected{aggregator="node"} ${isUsed}`,
    'gpioagg_aggregator_uptime_seconds{aggregator="node"} N',
    'gpioagg_kernel_chip_present{aggregator="node"} 1',
    'gpioagg_kernel_chip_lost_chips{aggregator="node"} 0',
  ];
  assertEquals(await samples(), expected(0));
  {
    using opened = Chip.open(kernelChip!.path);
    using _request = opened.requestLines({
      consumer: "test",
      lines: [{ offset: 1, settings: { direction: "input" } }],
    });
    assertEquals(await samples(), expected(1));
  }
  assertEquals(await samples(), expected(0));
  await service.client.remove("node");
  assertEquals(await samples(), []);
});
