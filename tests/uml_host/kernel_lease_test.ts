/** Leases of kernel chips, and of pins inside QEMU, on simulated chips. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient, ServiceError } from "../../src/client/client.ts";
import type { ApiEvent } from "../../src/client/protocol.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import {
  ApiService,
  type LeaseHolder,
  startLeaseHolder,
} from "../environment/api_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "../process/server_usage.ts";
import { gpioagg, leftovers, msUntilGone } from "./kernel_chip_rig.ts";

const KILLS = 10;
const GONE_LIMIT_MS = 120_000;

function isUsed(chip: SimChip, offset: number): boolean {
  using opened = Chip.open(chip.path);
  return opened.lineInfo(offset).used;
}

/** Requests a line and releases it: no other consumer has it, then. */
function borrow(chip: SimChip, offset: number): void {
  using opened = Chip.open(chip.path);
  using _request = opened.requestLines({
    consumer: "another",
    lines: [{ offset, settings: { direction: "input" } }],
  });
}

/** Runs a command that talks to a service; answers what it printed. */
async function command(
  service: ApiService,
  ...args: readonly string[]
): Promise<string> {
  const api = ["--api", service.client.socketPath];
  const { code, stdout, stderr } = await gpioagg(...args, ...api);
  assertEquals(code, 0, stderr);
  return stdout;
}

for (const through of ["configfs", "sysfs"] as const) {
  const kernelChip = { interface: through };

  Deno.test(`the holder of a kernel chip through ${through} is killed ${KILLS} times: the chip goes, though a program uses it, and nothing leaks`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 4 });
    await using service = await ApiService.start();
    const request = {
      name: "press",
      lines: [`${chip.name}/1`, `${chip.name}/3`],
      kernelChip: { ...kernelChip, mode: "640" },
    };
    let fds = 0;
    for (let kill = 1; kill <= KILLS; kill++) {
      await using holder = await startLeaseHolder(
        service.client.socketPath,
        request,
      );
      const { path, label, present } = holder.state.kernelChip!;
      assertEquals(present, true);
      assertEquals(fileStatus(path)!.mode & 0o777, 0o640);
      assertEquals(
        holder.state.lines.map(({ source }) => source),
        [`${chip.name} line 1`, `${chip.name} line 3`],
      );
      {
        using own = Chip.open(path);
        assertEquals(own.label, label);
        using request = own.requestLines({
          consumer: "test",
          lines: [{
            offset: 0,
            settings: { direction: "output", outputValue: 1 },
          }],
        });
        assertEquals(await chip.level(1), 1);
        request.setValue(0, 0);
        assertEquals(await chip.level(1), 0);
        assertEquals((await service.client.show("press")).connected, true);
        if (kill === 1) await useByTools(chip, path);
        holder.process.kill("SIGKILL");
        await msUntilGone(path, GONE_LIMIT_MS);
      }
      await until(
        "the lines are free",
        () => !isUsed(chip, 1) && !isUsed(chip, 3),
        GONE_LIMIT_MS,
      );
      borrow(chip, 1);
      borrow(chip, 3);
      await until(
        "the aggregator is gone",
        async () => (await service.client.list()).length === 0,
      );
      assertEquals(leftovers(), []);
      if (kill === 1) fds = await settledFdCount(service.process.pid);
    }
    await assertNoMoreFds(service.process.pid, fds);
  });

  Deno.test(`a kernel chip through ${through} is made with \`await using\`, and gone when that is left`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using service = await ApiService.start();
    let path: string;
    {
      await using lease = await service.client.create({
        name: "press",
        lines: [`${chip.name}/0`],
        kernelChip,
      });
      path = lease.chipPath;
      using own = Chip.open(path);
      assertEquals(own.lineCount, 1);
      assertEquals(lease.state.lease, "stream");
      assertEquals(isUsed(chip, 0), true);
    }
    assertEquals(fileStatus(path), undefined);
    assertEquals(isUsed(chip, 0), false);
    assertEquals(await service.client.list(), []);
    assertEquals(leftovers(), []);
  });

  Deno.test(`a service is killed: its clients' kernel chips through ${through} go`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using service = await ApiService.start();
    const { client } = service;
    const lasting = await client.createLasting({
      name: "lasting",
      lines: [`${chip.name}/0`],
      kernelChip,
    });
    await using lease = await client.create({
      name: "leased",
      lines: [`${chip.name}/1`],
      kernelChip,
    });
    service.process.kill("SIGKILL");
    await msUntilGone(lasting.kernelChip!.path, GONE_LIMIT_MS);
    await msUntilGone(lease.chipPath, GONE_LIMIT_MS);
    await until("nothing is left", () => leftovers().length === 0);
    borrow(chip, 0);
    borrow(chip, 1);
  });
}

/** Another program reads and drives what the chip has. */
async function useByTools(chip: SimChip, path: string): Promise<void> {
  await chip.pull(3, "up");
  const get = await gpioagg("get", "--numeric", "-c", path, "1");
  assertEquals([get.code, get.stdout.trim()], [0, "1"], get.stderr);
  const info = await gpioagg("info", "-c", path);
  assert(/line +0:.*consumer="?test"?/.test(info.stdout), info.stdout);
}

/** Returns the next event, without its time. */
async function told(
  events: AsyncIterator<ApiEvent>,
): Promise<Omit<ApiEvent, "time">> {
  const { value } = await events.next();
  const { time, ...event } = value as ApiEvent & { time: number };
  assert(Math.abs(Date.now() - time) < 600_000, String(time));
  return event;
}

Deno.test("create, list, show, watch, kernel list, cdi and remove know kernel chips", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using service = await ApiService.start();
  const events = service.lookClient.events("press");
  assertEquals((await events.next()).value?.event, "snapshot");
  const printed = await command(
    service,
    ...["create", "press", "--line", `${chip.name}/1,as=VALVE`, "--detach"],
    ...["--kernel-chip=configfs", "--mode", "660"],
  );
  const path = printed.trim();
  assert(/^\/dev\/gpiochip\d+$/.test(path), printed);
  assertEquals(fileStatus(path)!.mode & 0o777, 0o660);
  assertEquals(await told(events), {
    event: "created",
    aggregator: "press",
    detail: `as ${path}`,
  });
  const list = await command(service, "list");
  assert(
    new RegExp(`^press +1 +chip not in use +none +${path}$`, "m").test(list),
    list,
  );
  const show = await command(service, "show", "press");
  assert(show.startsWith("press: chip not in use\n"), show);
  assert(
    /^0 +VALVE +input +\? +- +- +gpiochip\d+ line 1 +- +-$/m.test(show),
    show,
  );
  const inventory = await gpioagg("kernel", "list");
  assert(
    new RegExp(
      `^press +${path} +\\S+ +1 line +held by process ${service.process.pid}$`,
      "m",
    ).test(inventory.stdout),
    inventory.stdout,
  );
  const { mode: fileMode, uid, gid } = fileStatus(path)!;
  const access = { fileMode, uid, gid };
  assertEquals(JSON.parse(await command(service, "cdi")).devices, [{
    name: "press",
    containerEdits: {
      deviceNodes: [{ path, permissions: "rw", ...access }],
      env: [`GPIOAGG_PRESS=${path}`],
    },
  }]);
  await command(service, "remove", "press");
  assertEquals(fileStatus(path), undefined);
  assertEquals(await told(events), {
    event: "removed",
    aggregator: "press",
    detail: "removed by uid 0",
  });
  await events.return();
  assertEquals(leftovers(), []);
  assertEquals(service.audit()[0]?.presentation, `as ${path}`);
});

Deno.test("a kernel chip that others take down ends its lease, and is told of", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 1 });
  await using service = await ApiService.start();
  const events = service.lookClient.events("press");
  await events.next();
  await using lease = await service.client.create({
    name: "press",
    lines: [`${chip.name}/0`],
    kernelChip: {},
  });
  assertEquals((await events.next()).value?.event, "created");
  const removed = await gpioagg("kernel", "remove", "press", "--force");
  assertEquals(removed.code, 0, removed.stderr);
  assertEquals(await lease.ended, "its chip was taken down");
  assertEquals(await told(events), {
    event: "unplugged",
    aggregator: "press",
    detail: `${lease.chipPath} was removed by another process`,
  });
  assertEquals(await told(events), {
    event: "removed",
    aggregator: "press",
    detail: "its chip was taken down",
  });
  await events.return();
  assertEquals(await service.client.list(), []);
  assertEquals(leftovers(), []);
});

for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
  Deno.test(`a restart by ${signal} makes kernel chips without a lease anew, and ends those with one`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: 2 });
    await using manager = new ManagerDouble();
    const client = new ServiceClient(`${manager.directory}/api.sock`);
    const args = ["--api", client.socketPath];
    await manager.start(args);
    const lasting = await client.createLasting({
      name: "lasting",
      lines: [`${chip.name}/0`],
      kernelChip: { mode: "640" },
    });
    await using lease = await client.create({
      name: "leased",
      lines: [`${chip.name}/1`],
      kernelChip: {},
    });
    await manager.stop(signal);
    await lease.ended;
    await manager.start(args);
    const [again, ...others] = await client.list();
    assertEquals(others, []);
    assertEquals([again?.name, again?.lease], ["lasting", "none"]);
    const { path, present } = again!.kernelChip!;
    assertEquals(present, true);
    assertEquals(fileStatus(path)!.mode & 0o777, 0o640);
    assertEquals(again?.lines.length, lasting.lines.length);
    borrow(chip, 1);
    await client.remove("lasting");
    assertEquals(leftovers(), []);
  });
}

Deno.test("a kernel chip that cannot be had is refused, and leaves nothing", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  await using service = await ApiService.start({
    aggregators: { own: [`${chip.name}/1`] },
  });
  const line = `${chip.name}/0`;
  const bad: readonly (readonly [string[], object, number, string])[] = [
    [[line, `${chip.name}/1`], {}, 409, 'busy (EBUSY), held by "gpioagg'],
    [[line, line], {}, 400, "is requested twice"],
    [["gpiochip99/0"], {}, 400, 'there is no chip "gpiochip99"'],
    [[`${line},safe=0`], {}, 400, "into a safe state"],
    [[`${line},as=A`], { interface: "sysfs" }, 400, "cannot name a line"],
    [[line], { group: "no such group" }, 400, 'no group "no such group"'],
  ];
  for (const [lines, kernelChip, status, says] of bad) {
    const error = await assertRejects(
      () => service.client.createLasting({ name: "x", lines, kernelChip }),
      ServiceError,
      says,
    );
    assertEquals(error.status, status, error.message);
    assertEquals(leftovers(), []);
    assertEquals(isUsed(chip, 0), false);
  }
  assertEquals((await service.client.list()).length, 1);
});

Deno.test(`the holder of pins inside QEMU is killed ${KILLS} times: its chip's lines are safe and free`, async () => {
  await using chip = await SimChip.create(localFiles, { lines: 1 });
  // What a line that is let go shows is its pull: here, as its safe value is.
  await chip.pull(0, "up");
  await using service = await ApiService.start();
  using qemu = new RunningQemu(service.directory);
  const { gpio } = qemu.model;
  const start = (): Promise<LeaseHolder> =>
    startLeaseHolder(service.client.socketPath, {
      name: "press",
      lines: [`${chip.name}/0,direction=output,initial=0,safe=1`],
      qemuPins: {
        qtest: `${service.directory}/qtest`,
        qmp: `${service.directory}/qmp`,
      },
    });
  let fds = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    await using holder = await start();
    await until(
      "pins and lines are tied together",
      async () => (await service.client.show("press")).connected,
    );
    gpio.setDirections(1);
    for (const level of [1, 0] as const) {
      gpio.setData(level);
      await until(
        "the line follows its pin",
        async () => await chip.level(0) === level,
      );
    }
    holder.process.kill("SIGKILL");
    await until(
      "the line is safe and free, and the pins are let go",
      async () =>
        await chip.level(0) === 1 && !isUsed(chip, 0) && !qemu.model.hasClients,
      GONE_LIMIT_MS,
    );
    borrow(chip, 0);
    gpio.setDirections(0);
    await until(
      "the aggregator is gone",
      async () => (await service.client.list()).length === 0,
    );
    if (kill === 1) fds = await settledFdCount(service.process.pid);
  }
  await assertNoMoreFds(service.process.pid, fds);
});
