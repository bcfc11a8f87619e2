/** `gpioagg serve` on simulated chips, with a frontend of our own as guest. */
import { assert, assertEquals } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const EVENT_LIMIT_MS = 120_000;

async function withGuest(
  service: Service,
  action: (driver: GpioDriver) => Promise<void>,
): Promise<void> {
  using frontend = Frontend.open(service.socket("a"), { timeoutMs: 120_000 });
  await action(GpioDriver.attach(frontend));
}

for (const lane of ["", ",lane"]) {
  const how = lane === "" ? "in the reactor" : "in a lane";

  Deno.test(`serve drives, reads and watches lines of a chip (${how})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using service = await Service.start({
      a: [
        `${chip.name}/0,direction=output,initial=1${lane}`,
        `${chip.name}/1,direction=input${lane}`,
        `${chip.name}/2,active-low${lane}`,
        `${chip.name}/3,direction=input,bias=pull-up${lane}`,
      ],
    });
    assertEquals(await chip.level(0), 1, "initial value");
    await withGuest(service, async (driver) => {
      assertEquals(driver.getDirection(0), Direction.Output);
      assertEquals(driver.getValue(0), 1);
      driver.setValue(0, 0);
      assertEquals(await chip.level(0), 0);
      assertEquals(driver.getValue(3), 1, "pulled up by its bias");

      await chip.pull(1, "down");
      assertEquals(driver.getValue(1), 0);
      driver.setInterruptType(1, IrqType.EdgeBoth);
      for (const pull of ["up", "down", "up"] as const) {
        driver.arm(1);
        await chip.pull(1, pull);
        assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 1);
        assertEquals(driver.getValue(1), pull === "up" ? 1 : 0);
      }
      driver.setInterruptType(1, IrqType.None);
      await chip.pull(1, "down");
      assertEquals(driver.waitEvent(200), undefined);

      // Active-low: what the guest calls high is low on the wire.
      driver.setOutput(2, 1, Direction.Output);
      assertEquals(await chip.level(2), 0);
      driver.setValue(2, 0);
      assertEquals(await chip.level(2), 1);
      driver.setDirection(2, Direction.Input);
      await chip.pull(2, "down");
      assertEquals(driver.getValue(2), 1);
    });
  });

  Deno.test(`serve answers a level interrupt as often as it is armed (${how})`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 1 });
    await using service = await Service.start({ a: [`${chip.name}/0${lane}`] });
    await withGuest(service, async (driver) => {
      driver.setInterruptType(0, IrqType.LevelHigh);
      driver.arm(0);
      assertEquals(driver.waitEvent(200), undefined);
      await chip.pull(0, "up");
      for (let i = 0; i < 3; i++) {
        assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
        driver.arm(0);
      }
      // The one that is armed now comes back at once too, as the line is high.
      assertEquals(driver.waitEvent(EVENT_LIMIT_MS)?.lineNumber, 0);
      await chip.pull(0, "down");
      driver.arm(0);
      assertEquals(driver.waitEvent(200), undefined);
    });
  });

  interface Aftermath {
    level?: 0 | 1;
    direction?: "input" | "output";
    used: boolean;
  }
  const rules: readonly (readonly [string, Aftermath])[] = [
    ["", { level: 1, used: true }],
    [",on-disconnect=keep", { level: 1, used: true }],
    [",safe=0", { level: 0, used: true }],
    [",on-disconnect=input", { direction: "input", used: true }],
    [",on-disconnect=release", { level: 0, used: false }],
  ];
  for (const [rule, after] of rules) {
    Deno.test(`serve obeys "${rule}" when a guest goes, and takes the next one (${how})`, async () => {
      await using chip = await SimChip.create(localFiles, { lines: 1 });
      await using service = await Service.start({
        a: [`${chip.name}/0${rule}${lane}`],
      });
      for (let guest = 0; guest < 2; guest++) {
        await withGuest(service, async (driver) => {
          driver.setOutput(0, 1, Direction.Output);
          await until("the level", async () => await chip.level(0) === 1);
        });
        await until("the line is as its rule says", async () => {
          using opened = Chip.open(chip.path);
          const { used, direction } = opened.lineInfo(0);
          return used === after.used &&
            direction === (after.direction ?? direction) &&
            await chip.level(0) === (after.level ?? await chip.level(0));
        });
      }
    });
  }
}

Deno.test("serve ends at SIGTERM with its lines safe, free, and no socket", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 1 });
  await using service = await Service.start({
    a: [`${chip.name}/0,initial=0,safe=1`],
  });
  const socket = service.socket("a");
  service.process.kill("SIGTERM");
  assertEquals((await service.process.waitForExit()).code, 0);
  assertEquals(fileStatus(socket), undefined);
  assertEquals(fileStatus(`${socket}.control`), undefined);
  using opened = Chip.open(chip.path);
  assertEquals(opened.lineInfo(0).used, false);
});

interface HttpError {
  specs: readonly string[];
  code: number;
  says: string;
}

Deno.test("serve refuses what cannot be had, by its SPEC, and leaves nothing half-done", async () => {
  await using first = await SimChip.create(localFiles, {
    label: "twin",
    lines: 3,
    names: { 0: "SAME", 1: "FREE" },
    hogs: { 2: "kernel user" },
  });
  await using _second = await SimChip.create(localFiles, {
    label: "twin",
    lines: 2,
    names: { 1: "SAME" },
  });
  const free = `${first.name}/0`;
  const refusals: HttpError[] = [
    {
      specs: [free, `${first.name}/2`],
      code: 1,
      says: `--line ${first.name}/2: .*busy.*EBUSY.*kernel user`,
    },
    { specs: [free, "ABSENT"], code: 1, says: "--line ABSENT: " },
    { specs: [free, "gpiochip99/0"], code: 1, says: "--line gpiochip99/0: " },
    {
      specs: [free, `${first.name}/7`],
      code: 1,
      says: `--line ${first.name}/7: .*has no line 7`,
    },
    { specs: [free, "SAME"], code: 2, says: "--line SAME: .*several lines" },
    { specs: [free, "twin/1"], code: 2, says: "--line twin/1: .*label" },
    { specs: [free, free], code: 2, says: `--line ${free}: .*taken by` },
    { specs: [free, "FREE,as=A", "sim/1,as=A"], code: 2, says: '"A" is taken' },
  ];
  const deno = PROGRAM_FILE;
  const directory = await Deno.makeTempDir();
  try {
    const socket = `${directory}/x.sock`;
    for (const { specs, code, says } of refusals) {
      await using serve = new ChildProcess({
        command: deno,
        args: [
          ...PROGRAM,
          ..."serve --socket-path".split(" "),
          socket,
          ...specs.flatMap((spec) => ["--line", spec]),
        ],
        cwd: REPOSITORY,
      });
      const status = await serve.waitForExit({ timeoutMs: 120_000 });
      assert(new RegExp(says).test(serve.stderr), serve.stderr);
      assertEquals(status.code, code, serve.stderr);
      assertEquals(fileStatus(socket), undefined);
      using opened = Chip.open(first.path);
      assertEquals(opened.lineInfo(0).used, false);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("serve survives its chip: its lines fail, others and the process go on", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using service = await Service.start({
    a: [`${chip.name}/0`, "sim/1,as=OTHER"],
  });
  using frontend = Frontend.open(service.socket("a"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  driver.setInterruptType(0, IrqType.EdgeBoth);
  driver.arm(0);
  await chip.unplug();
  let refused = "";
  try {
    driver.getValue(0);
  } catch (error) {
    refused = String(error);
  }
  assert(refused.includes("RequestRefused"), refused);
  assertEquals(driver.getValue(1), 0);
  // No busy loop: the service rests while nothing happens.
  const before = cpuTicks(service.process.pid);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const spent = cpuTicks(service.process.pid) - before;
  assert(spent < 50, `${spent} ticks of CPU in 2 s at rest`);
});

function cpuTicks(pid: number): number {
  const stat = new TextDecoder().decode(
    new Deno.Command("cat", { args: [`/proc/${pid}/stat`] }).outputSync()
      .stdout,
  );
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
