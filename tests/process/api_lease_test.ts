/** Leases: an aggregator goes when its maker dies, and nothing else does. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ServiceError } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService, startLeaseHolder } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const KILLS = 100;

Deno.test(`a maker is killed ${KILLS} times: its aggregator goes, another serves on`, async () => {
  await using service = await ApiService.start({
    aggregators: { steady: ["sim/1,as=OUT,direction=output"] },
  });
  using frontend = Frontend.open(service.socket("steady"), {
    timeoutMs: 120_000,
  });
  const steady = GpioDriver.attach(frontend);
  const fds = await settledFdCount(service.process.pid);
  const apiSocket = service.client.socketPath;
  // The next one starts while this one is killed: starting takes longest.
  const start = (kill: number) =>
    startLeaseHolder(apiSocket, { name: `a${kill}`, lines: ["sim/2,safe=0"] });
  let next = start(1);
  for (let kill = 1; kill <= KILLS; kill++) {
    await using holder = await next;
    const name = `a${kill}`;
    if (kill < KILLS) next = start(kill + 1);
    const socket = service.socket(name);
    assert(fileStatus(socket) !== undefined);
    // Every tenth has a guest, that is told by its connection.
    using guest = kill % 10 === 0
      ? Frontend.open(socket, { timeoutMs: 120_000 })
      : undefined;
    const driver = guest && GpioDriver.attach(guest);
    driver?.setOutput(0, 1, 1);
    holder.process.kill("SIGKILL");
    await until(
      `kill ${kill}: the socket is gone`,
      () =>
        fileStatus(socket) === undefined &&
        fileStatus(`${socket}.control`) === undefined,
    );
    if (driver !== undefined) {
      let refused = "";
      try {
        driver.getValue(0);
      } catch (error) {
        refused = String(error);
      }
      assert(refused !== "", "the guest's device is still there");
    }
    steady.setValue(0, kill % 2);
    assertEquals(steady.getValue(0), kill % 2);
  }
  // The sockets go first, the aggregator when its safe values hold.
  await until("the last aggregator is gone", async () => {
    const names = (await service.client.list()).map(({ name }) => name);
    return names.join() === "steady";
  });
  await assertNoMoreFds(service.process.pid, fds);
});

Deno.test("of several who remove an aggregator, one does and the others find none", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  await client.createLasting({ name: "b", lines: ["sim/1"] });
  const removals = await Promise.allSettled(
    Array.from({ length: 5 }, () => client.remove("b")),
  );
  const statuses = removals.map((removal) =>
    removal.status === "fulfilled"
      ? 204
      : removal.reason instanceof ServiceError
      ? removal.reason.status
      : removal.reason
  );
  assertEquals(statuses.toSorted(), [204, 404, 404, 404, 404]);
});

Deno.test("an aggregator goes with `await using`, and is gone when that is left", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  let socket: string;
  {
    await using lease = await client.create({ name: "b", lines: ["sim/1"] });
    socket = lease.socketPath;
    assertEquals((await client.show("b")).lease, "stream");
    assertEquals(lease.state.lines.length, 1);
  }
  assertEquals(await client.list(), []);
  assertEquals(fileStatus(socket), undefined);
});

Deno.test("a lease's holder is notified when another client ends the aggregator", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  await using lease = await client.create({ name: "b", lines: ["sim/1"] });
  await client.remove("b");
  assertEquals(await lease.ended, `removed by uid ${effectiveUserId()}`);
});

Deno.test("an aggregator without a lease outlives its maker, until it is removed", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  const made = await client.createLasting({ name: "b", lines: ["sim/1"] });
  assertEquals(made.lease, "none");
  assertEquals((await client.list()).map(({ name }) => name), ["b"]);
  await client.remove("b");
  const error = await assertRejects(() => client.show("b"), ServiceError);
  assertEquals(error.status, 404);
});

Deno.test("a name is taken once, also by two makers at the same time", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1"] },
  });
  const { client } = service;
  const results = await Promise.allSettled(
    [1, 2, 3].map(() => client.createLasting({ name: "b", lines: ["sim/1"] })),
  );
  const refused = results.filter(({ status }) => status === "rejected");
  assertEquals(refused.length, 2);
  const error = await assertRejects(
    () => client.createLasting({ name: "own", lines: ["sim/1"] }),
    ServiceError,
    'an aggregator "own" already',
  );
  assertEquals(error.status, 409);
});

Deno.test("the service's end ends leases, and says so", async () => {
  await using service = await ApiService.start();
  await using lease = await service.client.create({
    name: "b",
    lines: ["sim/1"],
  });
  service.process.kill("SIGTERM");
  assertEquals((await service.process.waitForExit()).code, 0);
  assertEquals(await lease.ended, "the service ends");
  assertEquals(fileStatus(lease.socketPath), undefined);
  assertEquals(fileStatus(service.client.socketPath), undefined);
});

Deno.test("event streams end with the service, however that ends", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await using service = await ApiService.start();
    const told: string[] = [];
    const listening = (async () => {
      for await (const { event } of service.lookClient.events()) {
        told.push(event);
      }
    })();
    await until("the snapshot", () => told.length === 1);
    service.process.kill(signal);
    await listening;
    assertEquals(told, ["snapshot"]);
  }
});

Deno.test("watch waits for what is not there yet, and ends with the service", async () => {
  await using service = await ApiService.start();
  const { socketPath } = service.lookClient;
  await using watch = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "watch", "later", "--api", socketPath],
  });
  await watch.waitFor('"later", which does not exist yet', {
    stream: "stderr",
  });
  await service.client.createLasting({ name: "other", lines: ["sim/1"] });
  await service.client.createLasting({ name: "later", lines: ["sim/1"] });
  await service.client.pull("later", { sim0: 1 });
  await using slip = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "watch", "latre", "--api", socketPath],
  });
  await slip.waitFor("which does not exist yet; did you mean later?", {
    stream: "stderr",
  });
  await watch.waitFor("later: line 0 sim0 input 1");
  assert(!watch.stdout.includes("other"), watch.stdout);
  service.process.kill("SIGKILL");
  assertEquals((await watch.waitForExit()).code, 1);
  assert(watch.stderr.endsWith("the service has ended\n"), watch.stderr);
});
