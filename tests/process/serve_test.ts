/** `gpioagg serve` as a process: its switches, its sockets, its end. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { libc } from "../../ffi/libc.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { spawnDetached } from "../../ffi/spawn.ts";
import { listenUnix, socketPair } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

async function gpioagg(...args: string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(
    PROGRAM_FILE,
    { args: [...PROGRAM, ...args], cwd: REPOSITORY, stdin: "null" },
  ).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

async function withDirectory(
  action: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function linesSeenAt(target: string): string[] {
  using frontend = Frontend.open(target, { timeoutMs: 120_000 });
  return GpioDriver.attach(frontend).names();
}

Deno.test("gpioagg tells its version, its commands, and what it does not know", async () => {
  const version = await gpioagg("--version");
  assertEquals(version.code, 0);
  assertMatch(version.stdout, /^gpioagg \d+\.\d+\.\d+\n$/);
  const help = await gpioagg("--help");
  assertEquals(help.code, 0);
  assertMatch(help.stdout, /^ {2}serve .*$/m);
  const unknown = await gpioagg("sevre");
  assertEquals(unknown.code, 2);
  assertEquals(
    unknown.stderr,
    'gpioagg: unknown command "sevre"\ngpioagg: did you mean gpioagg serve?\n',
  );
  const nothing = await gpioagg();
  assertEquals(nothing.code, 2);
});

Deno.test("every command has a --help that begins with its usage", async () => {
  const { stdout } = await gpioagg("--help");
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) =>
    name!
  );
  assert(commands.includes("serve"));
  for (const command of commands) {
    const help = await gpioagg(command, "--help");
    assertEquals(help.code, 0, help.stderr);
    assertMatch(help.stdout, /^Usage: /, command);
  }
});

Deno.test("serve says what vhost-user needs to know of it", async () => {
  const { code, stdout } = await gpioagg("serve", "--print-capabilities");
  assertEquals(code, 0);
  assertEquals(JSON.parse(stdout), { type: "gpio", features: [] });
});

Deno.test("serve has two lines for a wrong command line, and exit status 2", async () => {
  const { code, stderr } = await gpioagg(
    ..."serve --socket-path x.sock --line sim/1,sfae=1".split(" "),
  );
  assertEquals(code, 2);
  assertMatch(
    stderr,
    /^gpioagg: --line sim\/1,sfae=1: unknown key "sfae"\ngpioagg: .*safe.*\n$/,
  );
});

Deno.test("serve presents several aggregators, each with its lines", async () => {
  await using service = await Service.start({
    press: ["sim/2,as=P"],
    crane: ["sim/1,as=HOOK", "sim/1"],
  });
  assertEquals(linesSeenAt(service.socket("press")), ["P0", "P1"]);
  assertEquals(linesSeenAt(service.socket("crane")), ["HOOK", "sim1"]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`serve ends at ${signal}, promptly, with a guest attached`, async () => {
    await using service = await Service.start({ a: ["sim/1"] });
    using frontend = Frontend.open(service.socket("a"), { timeoutMs: 120_000 });
    GpioDriver.attach(frontend);
    const socket = service.socket("a");
    service.process.kill(signal);
    const status = await service.process.waitForExit();
    assertEquals(status.code, 0);
    assertEquals(fileStatus(socket), undefined);
    assertEquals(fileStatus(`${socket}.control`), undefined);
    assertEquals(service.process.stderr, "");
  });
}

Deno.test("serve replaces the socket of a dead process, and leaves a living one's", async () => {
  await withDirectory(async (directory) => {
    const socket = `${directory}/a.sock`;
    listenUnix(socket).close();
    await using first = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "serve", "--socket-path", socket, "--line", "sim/1"],
      cwd: REPOSITORY,
    });
    await first.waitFor("serving 1 line", { stream: "stderr" });
    const second = await gpioagg(
      "serve",
      "--socket-path",
      socket,
      "--line",
      "sim/1",
    );
    assertEquals(second.code, 1);
    assertMatch(second.stderr, /another process serves this socket/);
    assertEquals(linesSeenAt(socket), ["sim0"]);
  });
});

Deno.test("serve says that its socket's directory is missing", async () => {
  const { code, stderr } = await gpioagg(
    ..."serve --socket-path /nowhere/x.sock --line sim/1".split(" "),
  );
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^gpioagg: .*\/nowhere\/x.sock: directory \S+ does not exist/,
  );
});

Deno.test("an fd that is not open is one line", async () => {
  const { code, stderr } = await gpioagg(
    ..."serve --fd 77 --line sim/1".split(" "),
  );
  assertEquals(code, 2);
  assertEquals(
    stderr,
    "gpioagg: Cannot serve fd 77: this process has no such fd (EBADF)\n",
  );
});

/** Starts `serve --fd N` with an inherited fd; it ends with the last test. */
function serveAtFd(fd: number): number {
  return spawnDetached(PROGRAM_FILE, [
    PROGRAM_FILE,
    ...PROGRAM,
    "serve",
    "--fd",
    String(fd),
    "--line",
    "sim/1,as=GIVEN",
  ], { inherit: [fd] });
}

function isRunning(pid: number): boolean {
  const state = fileStatus(`/proc/${pid}`) === undefined
    ? ""
    : new TextDecoder()
      .decode(
        new Deno.Command("cat", { args: [`/proc/${pid}/stat`] }).outputSync()
          .stdout,
      );
  return state !== "" && !/\) Z /.test(state);
}

Deno.test("serve --fd takes a listening socket that it inherited", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/given.sock`;
    using listener = listenUnix(path);
    const pid = await serveAtFd(listener.fd);
    try {
      await until("the first guest", () => {
        try {
          return linesSeenAt(path)[0] === "GIVEN";
        } catch {
          return false;
        }
      });
      assertEquals(linesSeenAt(path), ["GIVEN"]);
    } finally {
      Deno.kill(pid, "SIGTERM");
    }
    await until("its end", () => !isRunning(pid));
  });
});

Deno.test("serve --fd takes a connection that it inherited, and ends with it", async () => {
  const [ours, theirs] = socketPair();
  const pid = await serveAtFd(theirs.fd);
  theirs.close();
  {
    using frontend = Frontend.open(ours, { timeoutMs: 120_000 });
    assertEquals(GpioDriver.attach(frontend).names(), ["GIVEN"]);
  }
  await until("its end", () => !isRunning(pid));
});

Deno.test("serve --fd reports an fd that is not a socket", async () => {
  const { code, stderr } = await gpioagg(
    ..."serve --fd 0 --line sim/1".split(" "),
  );
  assertEquals(code, 2);
  assertMatch(stderr, /Cannot serve fd 0: it is not a socket \(ENOTSOCK\)/);
});

Deno.test("serve --fd refuses a socket that is not a unix stream socket", async () => {
  using socket = new OwnedFd(libc().socket(2, 1 | 0o2000000, 0), "TCP");
  libc().listen(socket.fd, 1);
  const log = await Deno.makeTempFile();
  try {
    spawnDetached("/bin/sh", [
      ...[
        "sh",
        "-c",
        'log=$1; shift; "$@" 2>"$log"; echo "status $?" >>"$log"',
      ],
      ...["sh", log, PROGRAM_FILE, ...PROGRAM],
      ...["serve", "--fd", String(socket.fd), "--line", "sim/1"],
    ], { inherit: [socket.fd] });
    await until(
      "the end of serve",
      () => Deno.readTextFileSync(log).includes("status"),
      120_000,
    );
    assertMatch(
      Deno.readTextFileSync(log),
      new RegExp(
        `Cannot serve fd ${socket.fd}: it is an IPv4 socket, .*\nstatus 2`,
      ),
    );
  } finally {
    await Deno.remove(log);
  }
});

Deno.test("sim shows and pulls lines, and says what it cannot do", async () => {
  await using service = await Service.start({
    a: ["sim/1,as=IN,direction=input"],
  });
  const socket = service.socket("a");
  assertEquals((await gpioagg("sim", socket, "IN=1")).code, 0);
  const table = await gpioagg("sim", socket);
  assertMatch(table.stdout, /^0 +IN +input +1 +simulated line IN$/m);
  assertEquals((await gpioagg("sim", "by-name")).code, 1);
  {
    await using named = await Service.start({ "by-name": ["sim/1"] });
    assertEquals((await gpioagg("sim", "by-name", "sim0=1")).code, 0);
    assertEquals((await named.lines("by-name"))["sim0"]?.value, 1);
  }
  for (
    const [args, code, says] of [
      [[socket, "OUT=1"], 1, 'cannot find line "OUT"'],
      [[socket, "IN=7"], 2, 'invalid argument "IN=7"'],
      [["nowhere.sock", "IN=1"], 1, "Cannot reach"],
      [[], 2, "missing SOCKET or NAME"],
    ] as const
  ) {
    const refused = await gpioagg("sim", ...args);
    assertEquals(refused.code, code, refused.stderr);
    assert(refused.stderr.includes(says), refused.stderr);
  }
});

Deno.test("sim fails for a line that is driven, and keeps the pull", async () => {
  await using service = await Service.start({
    a: ["sim/1,as=OUT,direction=output,initial=0", "sim/1,as=IN"],
  });
  const socket = service.socket("a");
  const { code, stderr } = await gpioagg("sim", socket, "OUT=1", "IN=1");
  assertEquals(code, 1);
  assertEquals(
    stderr,
    'gpioagg: the guest drives line "OUT" of a as an output: the pull ' +
      "takes effect once it is an input\n",
  );
  assertEquals((await service.lines("a"))["IN"]?.value, 1);
  assertEquals((await service.lines("a"))["OUT"]?.value, 0);
});

Deno.test("demo does the main job", async () => {
  const { code, stdout, stderr } = await gpioagg("demo");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /guest sets LAMP0=1 +host reads 1/);
  assertMatch(stdout, /guest: interrupt of line 2, reads 1/);
});
