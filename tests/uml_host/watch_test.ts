/** Watching lines of chips that no guest has armed, and what it leaves behind. */
import { assert, assertEquals } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { EventStatus, IrqType } from "../../src/virtio/gpio/protocol.ts";
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

function edgeOf(chip: SimChip, offset: number): string {
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
    assertEquals([edgeOf(chip, 0), edgeOf(chip, 1)], ["none", "rising"]);
    {
      const { seen, over } = watch(service.api, "plc0", "LAMP=1");
      await until("the snapshot", () => seen.length === 1);
      await until(
        "edges are asked for",
        () => edgeOf(chip, 0) === "both" && edgeOf(chip, 1) === "both",
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
      () => edgeOf(chip, 0) === "none" && edgeOf(chip, 1) === "rising",
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
      await until("the guest's edges", () => edgeOf(chip, 0) === "rising");
      // Just now it is asked for one.
      await chip.pull(0, "up");
      assert(isRising(), `round ${round}: a guest goes`);
      await chip.pull(0, "down");
      await until("the fall", async () => await chip.level(0) === 0);
    }
  });
}
