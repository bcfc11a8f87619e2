/** Under a service manager: readiness, watchdog, socket activation. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { readLink } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { check, libc } from "../../ffi/libc.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

Deno.test("serve tells when it is ready, that it is well, and when it ends", async () => {
  await using manager = new ManagerDouble();
  const socket = `${manager.directory}/a.sock`;
  await manager.start(["--socket-path", socket, "--line", "sim/1"], {
    watchdogUs: 200_000,
  });
  // What is ready can be connected to.
  Frontend.open(socket, { timeoutMs: 120_000 })[Symbol.dispose]();
  const pings = () =>
    manager.messages.filter((text) => text === "WATCHDOG=1").length;
  await until("ten pings", () => pings() >= 10);
  await manager.stop("SIGTERM");
  // Beside what it says of its store.
  const said = manager.messages.filter((text) => !text.startsWith("FDSTORE"));
  assertEquals([said[0], said.at(-1)], ["READY=1", "STOPPING=1"]);
  assertEquals(fileStatus(socket), undefined);
});

Deno.test("a service that hangs is not well: no ping without its reactor", async () => {
  await using manager = new ManagerDouble();
  await manager.start(
    ["--socket-path", `${manager.directory}/a.sock`, "--line", "sim/1"],
    { watchdogUs: 200_000 },
  );
  await until("a ping", () => manager.messages.includes("WATCHDOG=1"));
  Deno.kill(manager.pid, "SIGSTOP");
  try {
    // What was said before is heard within one look.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = manager.messages.length;
    await new Promise((resolve) => setTimeout(resolve, 600));
    assertEquals(manager.messages.length, before);
  } finally {
    Deno.kill(manager.pid, "SIGCONT");
  }
  await manager.stop("SIGTERM");
});

Deno.test("serve uses the sockets that the manager listens at", async () => {
  await using manager = new ManagerDouble();
  const vm = manager.listen("plc0");
  const api = manager.listen("api");
  // A client that comes before the service waits, and is served then.
  const early = new ServiceClient(api).list();
  await manager.start([
    "--api",
    `${manager.directory}/unused.sock`,
    "--socket-path",
    `${manager.directory}/unused-too.sock`,
    "--name",
    "plc0",
    "--line",
    "sim/1,as=LINE",
  ]);
  assertEquals((await early).map(({ name }) => name), ["plc0"]);
  assertEquals(fileStatus(`${manager.directory}/unused.sock`), undefined);
  for (let restart = 0; restart < 2; restart++) {
    using frontend = Frontend.open(vm, { timeoutMs: 120_000 });
    assertEquals(GpioDriver.attach(frontend).names(), ["LINE"]);
    await manager.stop("SIGTERM");
    assert(
      fileStatus(vm) !== undefined,
      "the manager's socket file is its own",
    );
    await manager.start([
      "--socket-path",
      `${manager.directory}/unused.sock`,
      "--name",
      "plc0",
      "--line",
      "sim/1,as=LINE",
    ]);
  }
});

Deno.test("a socket is listened at, whatever the manager calls it", async () => {
  await using manager = new ManagerDouble();
  const vm = manager.listen("line.plc0");
  await manager.start([
    "--socket-path",
    `${manager.directory}/unused.sock`,
    "--name",
    "line.plc0",
    "--line",
    "sim/1",
  ]);
  Frontend.open(vm, { timeoutMs: 120_000 })[Symbol.dispose]();
});

Deno.test("an aggregator has the manager's socket after a reload too, and it is listed", async () => {
  await using manager = new ManagerDouble();
  const vm = manager.listen("plc0");
  const file = `${manager.directory}/plant.yaml`;
  const write = (lines: string) =>
    Deno.writeTextFile(
      file,
      "aggregators: { plc0: { vhost-user: " +
        `${manager.directory}/unused.sock, lines: [${lines}] } }\n`,
    );
  await write("sim/1");
  const api = `${manager.directory}/api.sock`;
  await manager.start(["--config", file, "--api", api]);
  const client = new ServiceClient(api);
  const fds = await settledFdCount(manager.pid);
  for (let reload = 2; reload < 6; reload++) {
    const [{ socketPath, presentation } = {}] = await client.list();
    assertEquals([socketPath, presentation], [vm, `at ${vm}`]);
    await write(`sim/${reload}`);
    assertEquals((await client.reload()).replaced, ["plc0"]);
    await until("the status", () =>
      manager.messages.includes(
        `STATUS=Serving 1 aggregator with ${reload} lines, and the control API`,
      ));
    using frontend = Frontend.open(vm, { timeoutMs: 120_000 });
    assertEquals(GpioDriver.attach(frontend).names().length, reload);
    frontend.disconnect();
    await until("it is gone", async () => !(await client.list())[0]!.connected);
  }
  // What cannot be had leaves its socket where it was.
  await write("NO_SUCH_LINE");
  for (let reload = 0; reload < 5; reload++) {
    assertEquals((await client.reload()).refused.length, 1);
  }
  Frontend.open(vm, { timeoutMs: 120_000 })[Symbol.dispose]();
  await assertNoMoreFds(manager.pid, fds);
});

/** A socket of this family and type; a listening one is bound by itself. */
function createSocket(family: number, type: number, listens: boolean): OwnedFd {
  const what = `socket ${family}/${type}`;
  const { socket, listen } = libc();
  const fd = new OwnedFd(
    check(socket(family, type | 0o2000000, 0), "socket", what),
    what,
  );
  if (listens) check(listen(fd.fd, 16), "listen", what);
  return fd;
}

for (
  const [name, family, type, listens, why] of [
    ["api", 2, 1, true, "it is an IPv4 socket"],
    ["api-look", 10, 1, true, "it is an IPv6 socket"],
    ["plc0", 2, 1, true, "it is an IPv4 socket"],
    ["plc0", 1, 2, false, "it is a unix datagram socket"],
    ["api", 1, 1, false, "it neither listens nor is connected"],
  ] as const
) {
  Deno.test(`a manager's socket by the name ${name} is refused if ${why}`, async () => {
    await using manager = new ManagerDouble();
    manager.give(name, createSocket(family, type, listens));
    const { directory } = manager;
    const error = await assertRejects(() =>
      manager.start([
        ...[`--api=${directory}/a.sock`, `--api-look=${directory}/l.sock`],
        ...[`--socket-path=${directory}/v.sock`, "--name=plc0"],
        "--line=sim/1",
      ]), Error);
    assertStringIncludes(
      error.message,
      `Cannot serve the socket that the service manager calls ${name}: ${why}`,
    );
  });
}

Deno.test("an unused socket is reported at the start, and closed", async () => {
  await using manager = new ManagerDouble();
  const unused = manager.listen("gpioagg-api.socket");
  manager.listen("plc0");
  const socket = `${manager.directory}/plc0-unused.sock`;
  const args = ["--name", "plc0", "--line", "sim/1"];
  await manager.start(["--socket-path", socket, ...args]);
  assertStringIncludes(
    manager.log,
    `no aggregator is served at ${unused}, which the service manager listens at by the ` +
      "name gpioagg-api.socket",
  );
  assertEquals(manager.log.split("no aggregator is served").length, 2);
  const held = listDirectory(`/proc/${manager.pid}/fd`)
    .map((fd) => readLink(`/proc/${manager.pid}/fd/${fd}`))
    .filter((link) => link === manager.socketLink("gpioagg-api.socket"));
  assertEquals(held, []);
});
