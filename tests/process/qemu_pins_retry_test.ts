/** A line that does not take its pin's level, of which no guest is told. */
import { assertEquals } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { ConfigService } from "../environment/config_service.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { until } from "../environment/wait.ts";

/** The pins, by the names of their lines. */
const PINS = { pump: 1 << 0, forward: 1 << 1, reverse: 1 << 2 };

Deno.test("a line is tried again that changed too often, and not one that another excludes", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-qemu-" });
  try {
    using qemu = new RunningQemu(directory);
    await using service = await ConfigService.start(() => `
aggregators:
  press:
    qemu-pins: { qtest: ${directory}/qtest, qmp: ${directory}/qmp }
    lines:
      - { sim: 1, as: PUMP, direction: output, min-interval: 8s }
      - { sim: 1, as: FORWARD, direction: output, safe: 0 }
      - { sim: 1, as: REVERSE, direction: output, safe: 0 }
interlocks:
  - exclusive: [press.FORWARD, press.REVERSE]
`);
    await service.heard("started");
    const client = new ServiceClient(service.api);
    using control = new ControlClient(defaultControlPath(`${directory}/qtest`));
    const values = () => control.ask({}).lines.map(({ value }) => value).join();
    const refusals = async (name: string) =>
      new MetricsPage(await client.metrics())
        .sum("gpioagg_refusals_total", { name });
    const { gpio } = qemu.model;
    gpio.setDirections(7);

    // What is excluded does not start when the other stops.
    gpio.setData(PINS.reverse);
    await until("one of two", () => values() === "0,0,1");
    gpio.setData(PINS.reverse | PINS.forward);
    await until("a refusal", async () => await refusals("FORWARD") === 1);
    gpio.setData(PINS.forward);
    await until("none of two", () => values() === "0,0,0");

    // This comes later than that would.
    gpio.setData(PINS.forward | PINS.pump);
    await until("the pump", () => values() === "1,0,0");
    gpio.setData(PINS.forward);
    await until("a refusal", async () => await refusals("PUMP") === 1);
    await until("the pump's end", () => values() === "0,0,0");
    assertEquals([await refusals("PUMP"), await refusals("FORWARD")], [1, 1]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
