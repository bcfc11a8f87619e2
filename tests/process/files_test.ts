/** Files that gpioagg makes and finds, where other users are at work too. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ServiceError } from "../../src/client/client.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { acceptUnix } from "../../ffi/unix_socket.ts";
import { ListenSocket } from "../../src/service/sockets/listen_socket.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { lacksRoot, mustIgnore } from "../doubles/skipped.ts";

/** A user that owns nothing. */
const OTHER = 65534;
const isUser = lacksRoot("files of other users");

/** A directory for files, with a runtime directory in it. */
async function scratch() {
  const path = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "gpioagg-files-" }),
  );
  await Deno.mkdir(`${path}/run`, { mode: 0o700 });
  return {
    path,
    runtime: `${path}/run`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

function start(
  directory: string,
  args: readonly string[],
  umask = "022",
): ChildProcess {
  return new ChildProcess({
    command: "sh",
    args: [
      ...["-c", 'umask "$1"; shift; exec "$@"', "sh", umask],
      ...[PROGRAM_FILE, ...PROGRAM, ...args],
    ],
    cwd: directory,
    env: { XDG_RUNTIME_DIR: `${directory}/run` },
  });
}

async function call(directory: string, ...args: readonly string[]) {
  await using process = await start(directory, args);
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** All files below a directory that everybody may write to, links aside. */
function writableFiles(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    const mode = Deno.lstatSync(path).mode!;
    return [
      ...(entry.isSymlink || (mode & 0o002) === 0 ? [] : [path]),
      ...(entry.isDirectory ? writableFiles(path) : []),
    ];
  });
}

Deno.test("with umask 0 gpioagg makes nothing that everybody may write to", async () => {
  await using it = await scratch();
  await using service = await start(it.path, [
    ...["serve", "--api=api.sock", "--api-look=look.sock"],
    ...["--audit-log=audit.log", "--socket-path=a.sock", "--line=sim/1"],
  ], "0");
  await service.waitFor("a: serving 1 line", { stream: "stderr" });
  const api = `${it.path}/api.sock`;
  assertEquals(
    (await call(it.path, "cdi", "--api", api, "--output", "cdi.json")).code,
    0,
  );
  for (const path of ["a.sock", "audit.log", "cdi.json", "run/gpioagg"]) {
    assert(fileStatus(`${it.path}/${path}`) !== undefined, path);
  }
  assertEquals(writableFiles(it.path), []);
  // The name is there, too.
  assertEquals((await call(it.path, "sim", "a", "sim0=1")).code, 0);
});

Deno.test("sim NAME and --api NAME do not believe a socket in the working directory", async () => {
  await using it = await scratch();
  // Names that no service of this host has.
  for (const name of ["planted0.control", "planted0", "api.sock"]) {
    using planted = ListenSocket.open(`${it.path}/${name}`, { mode: 0o666 });
    const command = name === "api.sock"
      ? ["list", "--api", "api.sock"]
      : ["sim", name];
    const { code, stderr } = await call(it.path, ...command);
    assertEquals(code, 1, stderr);
    assert(!planted.listener.closed);
    // No client connected.

    assertEquals(acceptUnix(planted.listener.fd), undefined, stderr);
    if (name === "planted0") {
      assertStringIncludes(stderr, "is ./planted0");
    }
  }
});

Deno.test({
  name: "a runtime directory of another user is not used, and it is told why",
  ignore: isUser,
  fn: async () => {
    await using it = await scratch();
    await Deno.mkdir(`${it.runtime}/gpioagg`);
    // A name that no service of this host has.
    using planted = ListenSocket.open(`${it.runtime}/gpioagg/planted.control`, {
      mode: 0o666,
    });
    await Deno.chown(it.runtime, OTHER, OTHER);
    const { code, stderr } = await call(it.path, "sim", "planted");
    assertEquals(code, 1);
    assertStringIncludes(stderr, `is not used: user ${OTHER} owns it`);

    assertEquals(acceptUnix(planted.listener.fd), undefined);
  },
});

Deno.test({
  name:
    "an audit log and a CDI file are not written through another user's link",
  ignore: isUser,
  fn: async () => {
    await using it = await scratch();
    const victim = `${it.path}/victim`;
    await Deno.writeTextFile(victim, "precious");
    for (const name of ["audit.log", "cdi.json.new"]) {
      const link = `${it.path}/${name}`;
      await new Deno.Command("sh", {
        args: [
          "-c",
          'ln -s victim "$1"; chown -h "$2" "$1"',
          "sh",
          link,
          "65534",
        ],
      }).output();
    }
    const refused = await call(
      it.path,
      ...["serve", "--api=api.sock", "--audit-log=audit.log"],
    );
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, `is a symbolic link of user ${OTHER}`);
    await using service = await start(it.path, [
      ...["serve", "--api=api.sock", "--socket-path=a.sock", "--line=sim/1"],
    ]);
    await service.waitFor("a: serving 1 line", { stream: "stderr" });
    const api = `${it.path}/api.sock`;
    await until("the control API", () => fileStatus(api) !== undefined);
    const args = ["cdi", "--api", api, "--output", "cdi.json"];
    assertEquals((await call(it.path, ...args)).code, 0);
    assertEquals(await Deno.readTextFile(victim), "precious");
    assertEquals(fileStatus(`${it.path}/cdi.json`)?.kind, "regular file");
  },
});

Deno.test("serve and check --live name directories that others can write to, once", async () => {
  await using it = await scratch();
  const shared = `${it.path}/shared`;
  await Deno.mkdir(shared);
  await Deno.chmod(shared, 0o777);
  const config = `${it.path}/config.yaml`;
  await Deno.writeTextFile(
    config,
    `aggregators:
  a: { vhost-user: ${shared}/a.sock, lines: [sim/1] }
  b: { vhost-user: ${shared}/b.sock, lines: [sim/1] }
`,
  );
  const warning =
    `others can write to the directory ${shared} (every user may write to it)`;
  const checked = await call(it.path, "check", "--live", config);
  assertEquals(checked.code, 0);
  assertEquals(checked.stderr.split(warning).length, 2, checked.stderr);
  await using service = await start(it.path, ["serve", "--config", config]);
  await service.waitFor("b: serving 1 line", { stream: "stderr" });
  assertEquals(service.stderr.split(warning).length, 2, service.stderr);
  await Deno.chmod(shared, 0o1777);
  const sticky = await call(it.path, "check", "--live", config);
  const notes = sticky.stderr.trimEnd().split("\n");
  assertEquals(sticky.code, 0);
  assertEquals(notes.length, 2, sticky.stderr);
  for (const note of notes) assertStringIncludes(note, "a process listens at");
});

Deno.test("a standard stream is used by its path, too, and never replaced", async () => {
  await using service = await ApiService.start();
  await service.client.createLasting({ name: "a", lines: ["sim/1"] });
  await using it = await scratch();
  const args = ["cdi", "--api", service.client.socketPath, "--output"];
  for (const path of ["/dev/fd/1", "/proc/self/fd/1"]) {
    const { code, stdout, stderr } = await call(it.path, ...args, path);
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse(stdout).kind, "gpioagg/aggregator");
  }
  const device = await call(it.path, ...args, "/dev/gpioagg-test.json");
  assertEquals(device.code, 2);
  assertStringIncludes(device.stderr, "cannot be replaced by a file");
  const missing = `${it.path}/none/x.json`;
  assertEquals(
    (await call(it.path, ...args, missing)).stderr,
    `gpioagg: Cannot write ${missing}: directory ${it.path}/none does not exist\n`,
  );
  const empty = await call(it.path, "check", "/dev/stdin");
  assertStringIncludes(empty.stderr, "expected a configuration");
});

Deno.test("create speaks of its own arguments where the service refuses them", async () => {
  await using service = await ApiService.start();
  await using it = await scratch();
  const api = service.client.socketPath;
  const { code, stderr } = await call(
    it.path,
    "create",
    "x/y",
    "--api",
    api,
    "--line",
    "sim/1",
  );
  assertEquals(code, 2);
  assertStringIncludes(stderr, "is not a valid name for an aggregator");
  assertStringIncludes(stderr, "1 to 64 letters");
  for (
    const [option, ...message] of [
      [
        "--paused-for=x",
        "gpioagg: --paused-for: ",
        "neither a period nor keep",
      ],
      ["--mode=9", "gpioagg: --mode: ", "is not a valid file mode"],
    ] as const
  ) {
    const { code, stderr } = await call(
      it.path,
      ...["create", "x", "--api", api, "--line", "sim/1", option],
    );
    assertEquals(code, 2);
    for (const part of message) assertStringIncludes(stderr, part);
  }
});

Deno.test("check --live finds all that this host lacks for a configuration", async () => {
  await using it = await scratch();
  const { path } = it;
  await Deno.writeTextFile(`${path}/file`, "precious");
  using _served = ListenSocket.open(`${path}/served.sock`, { mode: 0o600 });
  const config = `${path}/config.yaml`;
  await Deno.writeTextFile(
    config,
    `aggregators:
  a:
    vhost-user: { socket: ${path}/none/a.sock, owner: nosuchuser }
    lines: [sim/1]
  b:
    vhost-user: { socket: ${path}/file, group: nosuchgroup }
    lines: [sim/1]
  c:
    vhost-user: ${path}/served.sock
    lines: [sim/1]
  d:
    usbredir: { connect: ${path}/qemu/usb.sock }
    lines: [sim/1]
api: { socket: ${path}/gone/api.sock, audit-log: ${path}/logs/audit.log }
`,
  );
  const checked = await call(path, "check", "--live", "--json", config);
  assertEquals(checked.code, 2, checked.stderr);
  const { errors, notes } = JSON.parse(checked.stdout);
  type Shown = { line: number; path: string; problem: string };
  assertEquals(
    errors.map(({ line, path, problem }: Shown) => [line, path, problem]),
    [
      [
        2,
        "aggregators.a.vhost-user",
        `directory ${path}/none does not exist`,
      ],
      [
        2,
        "aggregators.a.vhost-user.owner",
        'user "nosuchuser" does not exist on this host',
      ],
      [
        5,
        "aggregators.b.vhost-user",
        `${path}/file exists, and is a regular file`,
      ],
      [
        5,
        "aggregators.b.vhost-user.group",
        'group "nosuchgroup" does not exist on this host',
      ],
      [0, "api.socket", `directory ${path}/gone does not exist`],
      [0, "api.audit-log", `directory ${path}/logs does not exist`],
    ],
  );
  assertEquals(notes.map(({ path, problem }: Shown) => [path, problem]), [
    [
      "aggregators.c.vhost-user",
      `a process listens at ${path}/served.sock: a service uses it`,
    ],
    ["aggregators.d.usbredir", `directory ${path}/qemu does not exist`],
  ]);
});

Deno.test({
  name: "check --live says that the kernel makes no chips",
  ignore: mustIgnore(
    fileStatus("/sys/bus/platform/drivers/gpio-aggregator") === undefined
      ? undefined
      : "this kernel has gpio-aggregator",
  ),
  fn: async () => {
    await using it = await scratch();
    const config = `${it.path}/config.yaml`;
    await Deno.writeTextFile(
      config,
      `aggregators:
  k: { kernel-chip: {}, lines: [gpiochip99/0] }
`,
    );
    const { stderr } = await call(it.path, "check", "--live", config);
    assertStringIncludes(
      stderr,
      "k.kernel-chip: This kernel has no gpio-aggreg",
    );
  },
});

Deno.test("serve says which directory is missing for a socket", async () => {
  await using it = await scratch();
  const socket = `${it.path}/none/a.sock`;
  for (const args of [["--socket-path", socket], ["--api", socket]]) {
    const { code, stderr } = await call(
      it.path,
      "serve",
      ...args,
      ...(args[0] === "--api" ? [] : ["--line", "sim/1"]),
    );
    assertEquals(code, 1, stderr);
    assertStringIncludes(
      stderr,
      `Cannot make the socket ${socket}: directory ${it.path}/none does not exist`,
    );
    assertEquals(stderr.includes("bind failed"), false);
  }
});

Deno.test("the control API tells nothing about paths that are no chips", async () => {
  await using service = await ApiService.start();
  const answers = new Set<string>();
  const paths = ["/etc/passwd", "/none", "/dev/null", "/dev/../etc", "/root"];
  for (const path of paths) {
    const error = await assertRejects(
      () => service.client.createLasting({ name: "x", lines: [`${path}/0`] }),
      ServiceError,
    );
    answers.add(
      `${error.status} ${error.message.replaceAll(path, "PATH")}`,
    );
  }
  assertEquals(answers.size, 1, [...answers].join("\n"));
});
