/** Aggregators that are served by processes of their own. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { isRunning, withDirectory } from "./run_rig.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

async function serve(
  directory: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const service = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "serve", "--api", `${directory}/api.sock`, ...args],
  });
  await service.waitFor("serving", { stream: "stderr", timeoutMs: 120_000 });
  return service;
}

function aggregator(directory: string, name: string, ...rest: string[]) {
  return [
    "--socket-path",
    `${directory}/${name}.sock`,
    "--line",
    "sim/1,as=OUT,direction=output,safe=0",
    "--line",
    "sim/1,as=IN,direction=input",
    ...rest,
  ];
}

function guest(directory: string, name: string) {
  const frontend = Frontend.open(`${directory}/${name}.sock`, {
    timeoutMs: 120_000,
  });
  return {
    driver: GpioDriver.attach(frontend),
    [Symbol.dispose]: () => frontend[Symbol.dispose](),
  };
}

const OUT = 0;
const IN = 1;

Deno.test("an isolated aggregator has a process of its own, and all that others have", () =>
  withDirectory(async (directory) => {
    await using service = await serve(directory, [
      ...aggregator(directory, "own"),
      ...aggregator(directory, "apart", "--isolate"),
    ]);
    const client = new ServiceClient(`${directory}/api.sock`);
    const list = await client.list();
    assertEquals(list.map(({ name }) => name), ["own", "apart"]);
    const [own, apart] = list;
    assertEquals(own?.pid, undefined);
    const pid = apart?.pid;
    assert(pid !== undefined && pid !== service.pid);
    using events = await listenTo(client);
    {
      using plc = guest(directory, "apart");
      plc.driver.setValue(OUT, 1);
      await client.pull("apart", { IN: 1 });
      assertEquals(plc.driver.getValue(IN), 1);
      const state = await client.show("apart");
      assertEquals([state.connected, state.lines[OUT]?.value], [true, 1]);
    }
    // Its guest is gone: the rule holds.
    await until("the safe value", async () => {
      const { lines } = await client.show("apart");
      return lines[OUT]?.value === 0;
    });
    const metrics = await client.metrics();
    assertStringIncludes(metrics, 'aggregator="apart"');
    assertEquals(await events.saw("apart", "connected"), true);
    await client.remove("apart", { isForced: true });
    assertEquals((await client.list()).map(({ name }) => name), ["own"]);
    // Nothing of it is left in the process table either.
    await until(
      "the end of its process",
      () => readSmallFile(`/proc/${pid}/stat`) === undefined,
    );
    const made = await client.createLasting({
      name: "made",
      lines: ["sim/1"],
      isolate: "process",
    });
    assert(made.pid !== undefined && isRunning(made.pid));
  }));

Deno.test("the death of an aggregator's process is nothing to the others, and it is served again", () =>
  withDirectory(async (directory) => {
    await using service = await serve(directory, [
      "--isolate",
      ...aggregator(directory, "a"),
      ...aggregator(directory, "b"),
    ]);
    const client = new ServiceClient(`${directory}/api.sock`);
    const pids = (await client.list()).map(({ pid }) => pid!);
    assertEquals(new Set(pids).size, 2);
    using b = guest(directory, "b");
    b.driver.setValue(OUT, 1);
    for (let kills = 1; kills <= 3; kills++) {
      const { pid } = await client.show("a");
      Deno.kill(pid!, "SIGKILL");
      await until("a is served again", async () => {
        const state = await client.show("a");
        return state.pid !== undefined && state.pid !== pid &&
          state.lines.every(({ pendingRule }) => pendingRule === undefined);
      }, 120_000);
      assertEquals(b.driver.getValue(OUT), 1);
      using a = guest(directory, "a");
      assertEquals(a.driver.getValue(OUT), 0);
      a.driver.setValue(OUT, 1);
      // Nothing of it is left in the process table.
      await until(
        "the dead one is reaped",
        () => !listDirectory("/proc").includes(String(pid)),
      );
    }
    assertStringIncludes(service.stderr, "a: fault: its process ended");
    assertStringIncludes(service.stderr, "served again by a new process");
  }));

Deno.test("with the service its processes end, by SIGTERM and by SIGKILL", () =>
  withDirectory(async (directory) => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await using service = await serve(directory, [
        "--isolate",
        ...aggregator(directory, "a"),
      ]);
      const client = new ServiceClient(`${directory}/api.sock`);
      const { pid } = await client.show("a");
      service.kill(signal);
      await service.waitForExit({ timeoutMs: 120_000 });
      assertEquals(service.stderr.includes("EPIPE"), false, service.stderr);
      await until("the end of its process", () => !isRunning(pid!));
      assertEquals(
        readSmallFile(`${directory}/a.sock`),
        undefined,
        "its socket is left",
      );
    }
  }));

Deno.test("a process that stands still ends when its service is killed", () =>
  withDirectory(async (directory) => {
    await using service = await serve(directory, [
      "--isolate",
      ...aggregator(directory, "a"),
    ]);
    const { pid } = await new ServiceClient(`${directory}/api.sock`).show("a");
    Deno.kill(pid!, "SIGSTOP");
    service.kill("SIGKILL");
    await service.waitForExit({ timeoutMs: 120_000 });
    await until("the end of its process", () => !isRunning(pid!));
  }));

Deno.test("a process that stands still does not keep the service from its orderly end", () =>
  withDirectory(async (directory) => {
    await using service = await serve(directory, [
      "--isolate",
      ...aggregator(directory, "a"),
      ...aggregator(directory, "b"),
    ]);
    const client = new ServiceClient(`${directory}/api.sock`);
    const pids = (await client.list()).map(({ pid }) => pid!);
    Deno.kill(pids[0]!, "SIGSTOP");
    service.kill("SIGTERM");
    const { code } = await service.waitForExit({ timeoutMs: 120_000 });
    assertEquals([code, service.stderr.includes("declared state")], [0, false]);
    await until("no process is left", () => !pids.some(isRunning));
  }));

Deno.test("the process of an aggregator serves the service that started it only", async () => {
  // Descriptors of the runtime, a log, and one that is not open.
  for (const fd of ["0", "1", "3", "4", "99999"]) {
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "serve-isolated", fd],
    });
    const { code } = await process.waitForExit({ timeoutMs: 120_000 });
    assertEquals([fd, code], [fd, 2]);
    assertStringIncludes(
      process.stderr,
      "is an internal command of gpioagg serve",
    );
  }
});

/** Listens to the events of a service, from when it is made. */
async function listenTo(client: ServiceClient) {
  const seen: string[] = [];
  const stream = client.events();
  await stream.next();
  void (async () => {
    try {
      for await (const event of stream) {
        if ("aggregator" in event) {
          seen.push(`${event.aggregator} ${event.event}`);
        }
      }
    } catch {
      // The service has ended.
    }
  })();
  return {
    async saw(aggregator: string, event: string): Promise<boolean> {
      await until(
        `${event} of ${aggregator}`,
        () => seen.includes(`${aggregator} ${event}`),
      );
      return true;
    },
    [Symbol.dispose]: () => void stream.return(),
  };
}
