/** Aggregators of clients that are no vhost-user device. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceError } from "../../src/client/client.ts";
import type { CreateRequest } from "../../src/client/protocol.ts";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { ApiService, startLeaseHolder } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const KILLS = 10;

const LINES = ["sim/1,as=LAMP,direction=output,initial=0,safe=0", "sim/1"];

interface Change {
  value: number | undefined;
  /** Since it was told of last. */
  changes: number;
}

function pinsIn(directory: string): NonNullable<CreateRequest["qemuPins"]> {
  return { qtest: `${directory}/qtest`, qmp: `${directory}/qmp` };
}

/** An aggregator's only line as it is, and then what becomes of it. */
async function* watchChanges(
  service: ApiService,
  name: string,
): AsyncGenerator<Change, void> {
  for await (const event of service.lookClient.events(name)) {
    if (event.event === "snapshot") {
      yield { value: event.aggregators[0]?.lines[0]?.value, changes: 0 };
    }
    const lines = event.event === "lines" ? event.lines : [];
    for (const { value, changes } of lines) yield { value, changes };
  }
}

/** Returns the value of a line after this many changes, and no more. */
async function afterChanges(
  changes: AsyncGenerator<Change, void>,
  count: number,
): Promise<number | undefined> {
  let value: number | undefined;
  let left = count;
  while (left > 0) {
    const { value: change } = await changes.next();
    if (!change) throw new Error(`${left} of ${count} changes are missing`);
    left -= change.changes;
    value = change.value;
  }
  assertEquals(left, 0, "changes that nothing caused");
  return value;
}

async function isWatched(service: ApiService): Promise<boolean> {
  return /^gpioagg_event_listeners 1$/m.test(await service.client.metrics());
}

Deno.test(`a holder of pins inside QEMU is killed ${KILLS} times: lines safe, pins let go, nothing leaks`, async () => {
  await using service = await ApiService.start();
  using qemu = new RunningQemu(service.directory);
  const { model } = qemu;
  const request = {
    name: "press",
    lines: LINES,
    qemuPins: pinsIn(service.directory),
  };
  const start = () => startLeaseHolder(service.client.socketPath, request);
  let fds = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    await using holder = await start();
    assertEquals(holder.state.qemuPins, {
      ...request.qemuPins,
      device: "pl061",
    });
    assertEquals(holder.state.socketPath, undefined);
    await until("QEMU is connected", () => model.hasClients);
    await until(
      "pins and lines are tied together",
      async () => (await service.client.show("press")).connected,
    );
    // A wire to the lamp sees what the lamp is driven to, up to its last value,
    // and is pulled up when there is no lamp any more.
    await service.client.createLasting({
      name: "wall",
      lines: ["wire/press.LAMP,bias=pull-up"],
    });
    const changes = watchChanges(service, "wall");
    assertEquals((await changes.next()).value, { value: 0, changes: 0 });
    model.gpio.setDirections(1);
    model.gpio.setData(1);
    assertEquals(await afterChanges(changes, 1), 1);
    holder.process.kill("SIGKILL");
    // Safe, and let go: in one report, or in two if that takes longer than
    // changes are gathered.
    assertEquals(await afterChanges(changes, 2), 1);
    await until("the pins are let go", () => !model.hasClients);
    await until(
      "the aggregator is gone",
      async () =>
        !(await service.client.list()).some(({ name }) => name === "press"),
    );
    assertEquals(fileStatus(`${request.qemuPins.qtest}.control`), undefined);
    await changes.return();
    await service.client.remove("wall");
    model.gpio.setDirections(0);
    if (kill === 1) fds = await settledFdCount(service.process.pid);
  }
  await assertNoMoreFds(service.process.pid, fds);
});

Deno.test("a socket serves one aggregator, whatever its origin and spelling", async () => {
  await using service = await ApiService.start();
  const { client, directory } = service;
  const [a, b] = [pinsIn(directory), pinsIn(`${directory}/elsewhere`)];
  await client.createLasting({ name: "a", lines: LINES, qemuPins: a });
  const taken: readonly CreateRequest[] = [
    { name: "b", lines: LINES, qemuPins: a },
    { name: "b", lines: LINES, qemuPins: { ...a, index: 1 } },
    { name: "b", lines: LINES, qemuPins: { ...b, qmp: a.qmp } },
    { name: "b", lines: LINES, qemuPins: { ...b, qtest: a.qmp } },
  ];
  for (const request of taken) {
    const error = await assertRejects(
      () => client.createLasting(request),
      ServiceError,
      "Cannot present b at ",
    );
    assertEquals(error.status, 409);
    assert(error.message.includes("a is there already"), error.message);
  }
  await client.remove("a");
  await client.createLasting(taken[0]!);
  assertEquals((await client.list()).map(({ name }) => name), ["b"]);
});

Deno.test("what an exposure cannot have is refused, and leaves nothing", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  const chip = { name: "x", lines: ["gpiochip0/0"], kernelChip: {} };
  const ofDriver = { ...chip, kernelChip: { interface: "sysfs" } };
  const pins = {
    name: "x",
    lines: LINES,
    qemuPins: pinsIn(service.directory),
  };
  const bad: readonly (readonly [unknown, string])[] = [
    [
      { ...ofDriver, lines: ["gpiochip0/0,safe=1"] },
      "into a safe state (safe=1)",
    ],
    [{ ...ofDriver, lines: ["gpiochip0/0,active-low"] }, "invert a line"],
    [
      { ...ofDriver, lines: ["sim/1"] },
      "a kernel chip cannot have such a line",
    ],
    // Rules are for USB adapters, which have fewer lines.
    [{ ...chip, lines: ["sim/65,safe=0"] }, "kernelChip: has 65 lines"],
    [
      { ...chip, kernelChip: { interface: "usb", device: "ft232h" } },
      "kernelChip.device",
    ],
    [
      { ...chip, kernelChip: { interface: "sysfs", device: "ljca" } },
      "kernelChip.device: makes no sense with interface sysfs",
    ],
    [{ ...chip, qemuPins: pins.qemuPins }, "is presented by kernelChip"],
    [{ ...chip, kernelChip: { mode: 660 } }, "kernelChip.mode"],
    [
      { ...chip, kernelChip: [] },
      "kernelChip: must be an object, not an array",
    ],
    [{ ...chip, name: "x.y" }, "is not a valid name for a chip"],
    [{ ...pins, lines: ["sim/9"] }, "a PL061 has pins 0 to 7"],
    [{ ...pins, qemuPins: { qtest: "q", qmp: "/q" } }, "qemuPins.qtest"],
    [{ ...pins, qemuPins: { qtest: "/q\0", qmp: "/r" } }, "qemuPins.qtest"],
    [{ ...pins, qemuPins: pinsIn("/run") }, "is not a plain path below"],
    [
      { ...pins, qemuPins: pinsIn(`${service.directory}/../x`) },
      "is not a plain path below",
    ],
    [
      { ...pins, qemuPins: { qtest: `/${"q".repeat(108)}`, qmp: "/r" } },
      "is longer than",
    ],
  ];
  for (const [body, says] of bad) {
    // The client would refuse some of them itself.
    const { status, text } = await service.post(body);
    assertEquals(status, 400, text);
    const { error: { message } } = JSON.parse(text);
    assert(message.includes(says), message);
  }
  assertEquals(await client.list(), []);
});

Deno.test("the socket to look at makes no chips and drives no pins", async () => {
  await using service = await ApiService.start();
  for (
    const exposure of [
      { kernelChip: {} },
      { qemuPins: pinsIn(service.directory) },
    ]
  ) {
    const error = await assertRejects(
      () =>
        service.lookClient.createLasting({
          name: "x",
          lines: ["gpiochip0/0"],
          ...exposure,
        }),
      ServiceError,
      "it is for reading only",
    );
    assertEquals(error.status, 403);
  }
  assertEquals(service.audit().length, 2);
});

/** Runs a command that talks to the service, to its end. */
async function gpioagg(
  service: ApiService,
  ...args: readonly string[]
): Promise<string> {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args, "--api", service.client.socketPath],
    cwd: service.directory,
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  assertEquals(code, 0, process.stderr);
  return process.stdout;
}

Deno.test("create, list, show, watch and remove know pins inside QEMU", async () => {
  await using service = await ApiService.start();
  const { directory } = service;
  await using watch = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "watch", "--api", service.lookClient.socketPath],
  });
  await until("a watcher", () => isWatched(service));
  // Relative paths are relative to the client's directory.
  const told = await gpioagg(
    service,
    ...["create", "press", "--line", "sim/2", "--detach"],
    ...["--qemu-pins", "qtest=qtest,qmp=qmp,device=pl061"],
  );
  assertEquals(told, `${directory}/qtest\n`);
  const list = await gpioagg(service, "list");
  assert(
    /^press +2 +VMM not connected +none +\S+\/qtest$/m.test(list),
    list,
  );
  const show = await gpioagg(service, "show", "press");
  assert(show.startsWith("press: VMM not connected\n"), show);
  assert(
    show.includes(`served  as pins of pl061 in the QEMU behind ${directory}/`),
    show,
  );
  {
    using _qemu = new RunningQemu(directory);
    await watch.waitFor("press: connected\n");
  }
  await watch.waitFor(/ press: disconnected/);
  await gpioagg(service, "remove", "press");
  await watch.waitFor(/ press: removed: removed by uid \d+$/m);
  assert(
    / press: created: as pins of pl061 in the QEMU/m.test(watch.stdout),
    watch.stdout,
  );
  const [created] = service.audit();
  assertEquals(
    created?.presentation,
    `as pins of pl061 in the QEMU behind ${directory}/qtest`,
  );
});

Deno.test("create says what is wrong with its switches, with status 2", async () => {
  const deno = PROGRAM_FILE;
  const pins = "qtest=/q,qmp=/r";
  for (
    const [args, says] of [
      [["--kernel-chip=ioctl"], '"ioctl" is not a valid interface'],
      [["--kernel-chip", "--kernel-chip"], "is given twice"],
      [["--kernel-chip", "--qemu-pins", pins], "already presents the lines"],
      [
        ["--qemu-pins", pins, "--group", "plc"],
        "applies to a socket of the service",
      ],
      [["--qemu-pins", "qtest=/q"], '"qmp" is missing'],
    ] as const
  ) {
    await using process = new ChildProcess({
      command: deno,
      args: [...PROGRAM, "create", "x", "--line", "gpiochip0/0", ...args],
    });
    const { code } = await process.waitForExit({ timeoutMs: 120_000 });
    assertEquals(code, 2, process.stderr);
    assert(process.stderr.includes(says), process.stderr);
  }
});
