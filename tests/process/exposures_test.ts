/** Two exposures of one aggregator: a vhost-user guest, and one in a QEMU. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { EventStatus, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { QemuDouble } from "../doubles/qemu_double.ts";
import { ConfigService } from "../environment/config_service.ts";
import { until } from "../environment/wait.ts";

const PL061 = {
  path: "/machine/soc/device[6]",
  type: "pl061",
  address: 0x1000_3000,
};
const LIMIT_MS = 120_000;
/** Long enough for an interrupt that should not come to come. */
const QUIET_MS = 50;

/** Directory of QEMU's sockets: the double makes them there. */
const qemuDirectory = await Deno.makeTempDir({ prefix: "gpioagg-qemu-" });
addEventListener("unload", () => {
  Deno.removeSync(qemuDirectory, { recursive: true });
});

const config = (directory: string) => `
aggregators:
  press:
    vhost-user: ${directory}/press.sock
    qemu-pins:
      qtest: ${qemuDirectory}/qtest
      qmp: ${qemuDirectory}/qmp
      pins: { 2: STOP, 5: START }
    defaults: { direction: input }
    lines: [ "sim/1,as=START", "sim/1,as=STOP,active-low", const/1 ]
`;

/** A QEMU that runs beside the test. */
class RunningQemu implements Disposable {
  readonly #loop = new Reactor({
    onError: (error) => {
      throw error;
    },
  });
  readonly #double = new QemuDouble(this.#loop, qemuDirectory, [PL061]);
  #isOver = false;
  readonly #timer = setInterval(() => this.#loop.turn(0), 1);

  /** The levels that pins were driven to since the last call. */
  taken(): [pin: number, level: number][] {
    return this.#double.gpio.inputs.splice(0);
  }

  /** Waits until pins were driven so. */
  async sees(...levels: [pin: number, level: number][]): Promise<void> {
    const seen: [number, number][] = [];
    await until(`pins ${JSON.stringify(levels)}`, () => {
      seen.push(...this.taken());
      return seen.length >= levels.length;
    });
    assertEquals(seen.sort(), levels);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#double[Symbol.dispose]();
    this.#loop[Symbol.dispose]();
  }
}

Deno.test("a pulled line interrupts both guests of an aggregator; one's death does not disturb the other", async () => {
  await using service = await ConfigService.start(config);
  using first = new RunningQemu();
  await service.heard("started");
  await first.sees([2, 1], [5, 0]);
  const rising = { lineNumber: 0, status: EventStatus.Valid };
  {
    using guest = service.guest("press");
    const { driver } = guest;
    driver.setInterruptType(0, IrqType.EdgeRising);
    driver.arm(0);
    await service.pull("press", "START=1");
    assertEquals(driver.waitEvent(LIMIT_MS), rising);
    await first.sees([5, 1]);
    // Masked here, and not wanted, or of another line: the other one hears on.
    await service.pull("press", "START=0", "START=1", "START=0");
    await service.pull("press", "STOP=1");
    await first.sees([2, 0], [5, 0], [5, 0], [5, 1]);
    driver.arm(0);
    assertEquals(driver.waitEvent(LIMIT_MS), rising);
    assertEquals(driver.getValue(1), 0);
    // Its QEMU dies: this guest is not disturbed, and is interrupted on.
    driver.arm(0);
    first[Symbol.dispose]();
    const [gone] = await service.heard("disconnected");
    assertEquals(gone?.aggregator, "press.pins");
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    await service.pull("press", "START=1");
    assertEquals(driver.waitEvent(LIMIT_MS), rising);
  }
  // This guest goes, with an interrupt of its own; the next QEMU comes.
  await service.heard("disconnected", 2);
  using second = new RunningQemu();
  await second.sees([2, 0], [5, 1]);
  await service.pull("press", "START=0", "STOP=0");
  await second.sees([2, 1], [5, 0]);
  {
    using guest = service.guest("press");
    guest.driver.setInterruptType(0, IrqType.LevelHigh);
    guest.driver.arm(0);
    assertEquals(guest.driver.waitEvent(QUIET_MS), undefined);
    await service.pull("press", "START=1");
    assertEquals(guest.driver.waitEvent(LIMIT_MS), rising);
    await second.sees([5, 1]);
  }
  await service.heard("disconnected", 3);
  await service.pull("press", "START=0");
  await second.sees([5, 0]);
});

Deno.test("what is told of an aggregator with two exposures tells them apart", async () => {
  await using service = await ConfigService.start(config);
  using _qemu = new RunningQemu();
  await service.heard("started");
  const client = new ServiceClient(service.api);
  const told = (await client.list()).map(({ name, connected, lines }) => ({
    name,
    connected,
    lines: lines.map(({ name, source, direction, value }) =>
      `${name} ${direction} ${value}: ${source}`
    ),
  }));
  assertEquals(told, [
    {
      name: "press",
      connected: false,
      lines: [
        "START input 0: simulated line START",
        "STOP input 1: simulated line STOP",
        " input 1: constant 1",
      ],
    },
    {
      name: "press.pins",
      connected: true,
      lines: [
        "START input 0: copy of press.START",
        "STOP input 1: copy of press.STOP",
        " input 1: copy of press.2",
      ],
    },
  ]);
  const second = (await client.show("press.pins")).secondOf;
  assertEquals(second, "press");
  const shown = await service.run("sim", `${qemuDirectory}/qtest`, "START=1");
  assertEquals(shown.code, 1);
  assertStringIncludes(shown.stderr, "copy of press.START: only simulated");
  const check = await service.run("check", service.file);
  assertStringIncludes(check.stdout, "1 aggregator, 3 lines: valid");
});

Deno.test("an aggregator that is removed takes its second exposure along", async () => {
  await using service = await ConfigService.start(config);
  using _qemu = new RunningQemu();
  await service.heard("started");
  const client = new ServiceClient(service.api);
  await client.remove("press", { isForced: true });
  assertEquals(await client.list(), []);
  // Nothing is left of it, and its file still says that it shall be there.
  assertEquals((await service.reload(config)).code, 0);
  await service.heard("started", 2);
  assertEquals((await client.list()).map(({ name }) => name), [
    "press",
    "press.pins",
  ]);
});
