/** Leases and `run` on simulated chips: what is seen on their side. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction } from "../../src/virtio/gpio/protocol.ts";
import { ApiService, startLeaseHolder } from "../environment/api_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "../process/server_usage.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const KILLS = rounds(100, 25);
const GONE_LIMIT_MS = 120_000;

function isUsed(chip: SimChip, offset: number): boolean {
  using opened = Chip.open(chip.path);
  return opened.lineInfo(offset).used;
}

function takeAndLetGo(chip: SimChip, offset: number): void {
  using opened = Chip.open(chip.path);
  using _request = opened.requestLines({
    consumer: "another",
    lines: [{ offset, settings: { direction: "input" } }],
  });
}

/** Watches from outside which levels a line has, without a gap worth naming. */
async function levelsDuring(
  chip: SimChip,
  offset: number,
  action: () => Promise<void>,
): Promise<Set<number>> {
  const seen = new Set<number>();
  let isOver = false;
  const watch = async () => {
    while (!isOver) {
      seen.add(await chip.level(offset));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  const watching = watch();
  try {
    await action();
  } finally {
    isOver = true;
    await watching;
  }
  return seen;
}

Deno.test(`a lease's holder is killed ${KILLS} times: lines safe, free, and had by the next`, async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  await using service = await ApiService.start({
    aggregators: { steady: [`${chip.name}/2,direction=output`] },
  });
  // Its pull is what a released line of a simulated chip shows.
  await chip.pull(0, "up");
  using steadyFrontend = Frontend.open(service.socket("steady"), {
    timeoutMs: 120_000,
  });
  const steady = GpioDriver.attach(steadyFrontend);
  const specs = [`${chip.name}/0,direction=output,initial=0,safe=1`];
  let fds = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    await using holder = await startLeaseHolder(service.client.socketPath, {
      name: "leased",
      lines: specs,
    });
    const socket = service.socket("leased");
    {
      using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
      const driver = GpioDriver.attach(frontend);
      driver.setOutput(0, 1, Direction.Output);
      driver.setValue(0, 0);
      assertEquals(await chip.level(0), 0);
      holder.process.kill("SIGKILL");
      await until(
        "socket gone, line safe and free",
        async () =>
          fileStatus(socket) === undefined && await chip.level(0) === 1 &&
          !isUsed(chip, 0),
        GONE_LIMIT_MS,
      );
      // Others get the line: the kernel gives it to one at a time.
      takeAndLetGo(chip, 0);
      assertThrows(() => driver.getValue(0));
    }
    steady.setValue(0, kill % 2);
    assertEquals(await chip.level(2), kill % 2);
    if (kill === 1) fds = await settledFdCount(service.process.pid);
  }
  await assertNoMoreFds(service.process.pid, fds);
});

Deno.test("a maker cannot have a line that is busy, and leaves nothing half-done", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using service = await ApiService.start({
    aggregators: { own: [`${chip.name}/1`] },
  });
  for (const taken of [`${chip.name}/1`, "gpiochip99/0"]) {
    let refused = "";
    try {
      await service.client.createLasting({
        name: "second",
        lines: [`${chip.name}/0`, taken],
      });
    } catch (error) {
      refused = String(error);
    }
    assert(refused.includes(taken), refused);
    assertEquals(isUsed(chip, 0), false);
    assertEquals(fileStatus(service.socket("second")), undefined);
  }
});

Deno.test("run is killed: its guardian makes the line safe, and ends the VM", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 1 });
  const deno = PROGRAM_FILE;
  await using run = new ChildProcess({
    command: deno,
    args: [
      ...PROGRAM,
      "run",
      "--line",
      `${chip.name}/0,direction=output,active-low,initial=1,safe=0`,
      "--",
      deno,
      "run",
      "-q",
      "-P=unit",
      "--no-check",
      "--cached-only",
      `--config=${REPOSITORY}/deno.json`,
      `${REPOSITORY}/tests/environment/vmm_double.ts`,
      "{socket}",
    ],
  });
  await run.waitFor(/VM (\d+) drives line 0/, { timeoutMs: 60_000 });
  // Active is low here: what the guest drives and what the pull makes of a line
  // that is let go are low, and nothing but the safe value is high.
  await chip.pull(0, "down");
  assertEquals(await chip.level(0), 0);
  using watcher = Chip.open(chip.path);
  watcher.watchLineInfo(0);
  const told: string[] = [];
  const seen = await levelsDuring(chip, 0, async () => {
    run.kill("SIGKILL");
    await until("the line was taken and let go once more", () => {
      for (const { kind, info } of watcher.readInfoEvents()) {
        told.push(`${kind} ${info.consumer}`);
      }
      return told.filter((text) => text.startsWith("released")).length === 2;
    });
  });
  assert(seen.has(1), `levels seen: ${[...seen]}; told: ${told.join(", ")}`);
});
