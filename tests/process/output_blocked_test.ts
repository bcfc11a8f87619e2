/** Standard error or output takes nothing: guests, signals and lines go on. */
import { assert, assertEquals } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { until } from "../environment/wait.ts";
import { residentMb } from "./server_usage.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

/** Starts `serve` under a shell that gives it its outputs. */
function start(directory: string, redirect: string, json: boolean) {
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `${redirect}exec "$@"`,
      "sh",
      PROGRAM_FILE,
      ...PROGRAM,
      "serve",
      ...json ? ["--json"] : [],
      ...["good", "evil"].flatMap((name) => [
        "--socket-path",
        `${directory}/${name}.sock`,
        "--line",
        "sim/4,safe=0",
      ]),
    ],
    cwd: REPOSITORY,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let isOver = false;
  const status = child.status.finally(() => isOver = true);
  return {
    child,
    status,
    get isOver() {
      return isOver;
    },
    async [Symbol.asyncDispose]() {
      if (!isOver) child.kill("SIGKILL");
      await status;
    },
  };
}

/** Makes each connection an event that is told. */
function churn(socket: string, times: number): void {
  for (let i = 0; i < times; i++) {
    using _connection = connectUnix(socket);
  }
}

/** A FIFO that is open at both ends, so that opening it never waits. */
async function fifo(directory: string): Promise<string> {
  const path = `${directory}/fifo`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  return path;
}

/** dd leaves the open file description, which it shares, nonblocking. */
const FILL_NONBLOCKING =
  "dd if=/dev/zero bs=4096 count=64 oflag=nonblock 2>/dev/null; ";

for (
  const [what, json] of [
    ["a full disk", false],
    ["a full disk", true],
    ["a reader that stands still", false],
    ["a reader that stands still", true],
    ["a pipe that another process made nonblocking", false],
  ] as const
) {
  Deno.test(`serve goes on before ${what}${json ? ", with --json" : ""}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-blocked-" });
    try {
      const path = what === "a full disk" ? "/dev/full" : await fifo(directory);
      // Held open here, and never read.
      using _reader = path === "/dev/full"
        ? undefined
        : await Deno.open(path, { read: true, write: true });
      const isNonblocking = what.startsWith("a pipe");
      await using service = await start(
        directory,
        `exec 2>${path} >&2; ` + (isNonblocking ? FILL_NONBLOCKING : ""),
        json,
      );
      const socket = `${directory}/good.sock`;
      await until(
        "serve listens",
        () =>
          ["good", "evil"].every((name) => exists(`${directory}/${name}.sock`)),
        120_000,
      );
      assertEquals(isNonblocking, isNonblockingFd(service.child.pid, 2));
      for (let round = 0; round < 20; round++) {
        churn(`${directory}/evil.sock`, 100);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert(!service.isOver, "it runs on");
      {
        using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
        const driver = GpioDriver.attach(frontend);
        assertEquals(driver.getValue(0), 0);
      }
      service.child.kill("SIGTERM");
      await until("SIGTERM is heard", () => service.isOver);
      assertEquals((await service.status).code, 0);
      assert(!exists(socket), "its sockets are gone: it ended in order");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

function isNonblockingFd(pid: number, fd: number): boolean {
  const info = readSmallFile(`/proc/${pid}/fdinfo/${fd}`) ?? "";
  const flags = Number.parseInt(
    /^flags:\s+(\d+)/m.exec(info)?.[1] ?? "none",
    8,
  );
  return (flags & 0o4000) !== 0;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`watch before a reader that stands still ends at ${signal}, and does not grow`, async () => {
    await using service = await ApiService.start({
      aggregators: { own: ["sim/64,as=A_LONG_NAME"] },
    });
    const path = await fifo(service.directory);
    // Held open here, and never read.
    using _reader = await Deno.open(path, { read: true, write: true });
    const watch = new Deno.Command("sh", {
      args: [
        "-c",
        `exec >${path}; exec "$@"`,
        "sh",
        PROGRAM_FILE,
        ...PROGRAM,
        "watch",
        "--json",
        `--api=${service.lookClient.socketPath}`,
      ],
      cwd: REPOSITORY,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await until(
        "it listens",
        async () => /_listeners 1\n/.test(await service.client.metrics()),
        120_000,
      );
      const before = residentMb(watch.pid);
      const levels = (level: 0 | 1) =>
        Object.fromEntries(
          Array.from({ length: 64 }, (_, i) => [String(i), level]),
        );
      // 8 kB each: more than pipe and socket take.
      for (let round = 0; round < 100; round++) {
        await service.client.pull("own", levels(round % 2 === 0 ? 1 : 0));
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      const grown = residentMb(watch.pid) - before;
      assert(grown < 40, `${grown} MB`);
    } finally {
      watch.kill(signal);
      const timer = setTimeout(() => watch.kill("SIGKILL"), 120_000);
      const { signal: ended } = await watch.status;
      clearTimeout(timer);
      assertEquals(ended, signal);
    }
  });
}

Deno.test("serve goes on where files have reached their limit, and tells it", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=IN", "sim/1,as=OUT,safe=0"] },
  });
  const { pid } = service.process;
  // Room for what a session needs, and none in the audit log.
  const limit = 64 * 1024;
  Deno.writeTextFileSync(
    `${service.directory}/audit.log`,
    "\n".repeat(limit),
    { append: true },
  );
  const { success } = await new Deno.Command("prlimit", {
    args: [`--pid=${pid}`, `--fsize=${limit}`],
  }).output();
  assert(success);
  // The kernel's answer to what goes beyond is a signal, which ends a process.
  await service.client.pull("own", { IN: 1 });
  await until(
    "it is told",
    () => /audit\.log: file too large/i.test(service.process.stderr),
  );
  {
    using frontend = Frontend.open(service.socket("own"), {
      timeoutMs: 120_000,
    });
    assertEquals(GpioDriver.attach(frontend).getValue(0), 1);
  }
  service.process.kill("SIGTERM");
  const { code } = await service.process.waitForExit({ timeoutMs: 120_000 });
  assertEquals(code, 0, service.process.stderr);
  assert(!exists(service.socket("own")), "its sockets are gone");
});
