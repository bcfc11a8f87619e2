/** The rules of lines hold for pins inside QEMU as they do for vhost-user. */
import { assertEquals, assertThrows } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import {
  Direction,
  EventStatus,
  IrqType,
} from "../../src/virtio/gpio/protocol.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 120_000;

/** The pins of the emulated controller, by the names of their lines. */
const PINS = { valve: 1 << 0, forward: 1 << 1, watched: 1 << 2, slow: 1 << 3 };
const START_PIN = 4;
const PEER_PIN = 5;

/** Directory of QEMU's sockets: the model makes them there. */
const qemuDirectory = await Deno.makeTempDir({ prefix: "gpioagg-qemu-" });
addEventListener("unload", () => {
  Deno.removeSync(qemuDirectory, { recursive: true });
});

const config = (chip: SimChip) => (directory: string) => `
aggregators:
  press:
    qemu-pins: { qtest: ${qemuDirectory}/qtest, qmp: ${qemuDirectory}/qmp }
    lines:
      - { chip: ${chip.name}, offset: 0, as: VALVE, direction: output, combine: or }
      - { chip: ${chip.name}, offset: 1, as: FORWARD, direction: output, safe: 0 }
      - { chip: ${chip.name}, offset: 2, as: WATCHED, direction: output, safe: 1, safe-after: 2s }
      - { chip: ${chip.name}, offset: 3, as: SLOW, direction: output, min-interval: 600s }
      - { chip: ${chip.name}, offset: 4, as: START, direction: input, shared: true }
      - { wire: crane.READY, as: PEER }
  crane:
    vhost-user: ${directory}/crane.sock
    lines:
      - { chip: ${chip.name}, offset: 0, as: VALVE, direction: output, combine: or }
      - { chip: ${chip.name}, offset: 5, as: REVERSE, direction: output, safe: 0 }
      - { chip: ${chip.name}, offset: 4, as: START, direction: input, shared: true }
      - { sim: 1, as: READY, direction: output }
interlocks:
  - exclusive: [press.FORWARD, crane.REVERSE]
`;

Deno.test("lines that a QEMU's pins have share, combine, exclude and time out like others", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 6 });
  await using service = await ConfigService.start(config(chip));
  const client = new ServiceClient(service.api);
  const refusals = async (name: string) =>
    new MetricsPage(await client.metrics())
      .sum("gpioagg_refusals_total", { name });
  const levelIs = (offset: number, level: number) => async () =>
    await chip.level(offset) === level;
  using crane = service.guest("crane");
  {
    using qemu = new RunningQemu(qemuDirectory);
    const { gpio } = qemu.model;
    await service.heard("started", 2);
    gpio.setDirections(Object.values(PINS).reduce((all, pin) => all | pin));

    // Combined: on while one of the two wants it.
    gpio.setData(PINS.valve);
    await until("the pin's request", levelIs(0, 1));
    crane.driver.setValue(0, 1);
    gpio.setData(0);
    // Said long after the pin's request has been dropped.
    await service.heard("silent");
    assertEquals(await chip.level(0), 1);
    crane.driver.setValue(0, 0);
    await until("no requested value", levelIs(0, 0));

    // Excluded, both ways.
    crane.driver.setValue(1, 1);
    gpio.setData(PINS.forward);
    await until("the refusal", async () => await refusals("FORWARD") === 1);
    assertEquals(await chip.level(1), 0);
    crane.driver.setValue(1, 0);
    gpio.setData(0);
    gpio.setData(PINS.forward);
    await until("the motor", levelIs(1, 1));
    assertThrows(() => crane.driver.setValue(1, 1), RequestRefused);

    // A guest that does nothing is silent; its next word is heard.
    await until("the safe value", levelIs(2, 1));
    gpio.setData(PINS.forward | PINS.watched);
    gpio.setData(PINS.forward);
    await until("the guest's value", levelIs(2, 0));
    await until("the safe value again", levelIs(2, 1));

    // Too soon is refused.
    gpio.setData(PINS.forward | PINS.slow);
    await until("the first change", levelIs(3, 1));
    gpio.setData(PINS.forward);
    await until("the refusal", async () => await refusals("SLOW") === 1);
    assertEquals(await chip.level(3), 1);

    // Shared and wired: everybody has it, with an interrupt of one's own.
    crane.driver.setInterruptType(2, IrqType.EdgeRising);
    crane.driver.arm(2);
    gpio.inputs.length = 0;
    await chip.pull(4, "up");
    assertEquals(crane.driver.waitEvent(LIMIT_MS), {
      lineNumber: 2,
      status: EventStatus.Valid,
    });
    await until("START", () => gpio.inputs.length > 0);
    assertEquals(gpio.inputs, [[START_PIN, 1]]);
    crane.driver.setOutput(3, 1, Direction.Output);
    await until("PEER", () => gpio.inputs.length > 1);
    assertEquals(gpio.inputs[1], [PEER_PIN, 1]);

    // A dead guest requests nothing any more, and blocks no other.
    gpio.setData(PINS.forward | PINS.valve);
    await until("the pin's request", levelIs(0, 1));
  }
  await until("no request of a QEMU that is gone", levelIs(0, 0));
  await until("the safe state", levelIs(1, 0));
  assertEquals(await chip.level(2), 1);
  crane.driver.setValue(1, 1);
  assertEquals(await chip.level(5), 1);
});
