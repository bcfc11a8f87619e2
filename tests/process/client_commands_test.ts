/** The commands that talk to a service, as people and scripts call them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { withDirectory } from "./run_rig.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

function start(
  args: readonly string[],
  cwd?: string,
): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** A command's exit status and what it wrote. */
async function call(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using process = await start(args);
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

Deno.test("clients are told of whole paths, also where the service was not", () =>
  withDirectory(async (given) => {
    const directory = await Deno.realPath(given);
    const args = "serve --api api.sock --api-look look.sock " +
      "--socket-path a.sock --line sim/1";
    await using service = await start(args.split(" "), directory);
    await service.waitFor(
      "control API at api.sock and look.sock (for reading only)\n",
      { stream: "stderr" },
    );
    assertStringIncludes(service.stderr, "gpioagg: a: serving 1 line");
    const client = new ServiceClient(`${directory}/api.sock`);
    const made = await client.createLasting({ name: "b", lines: ["sim/1"] });
    assertEquals(made.socketPath, `${directory}/b.sock`);
    const { socketPath } = await client.show("a");
    assertEquals(socketPath, `${directory}/a.sock`);
    const cdi = await call("cdi", "--api", client.socketPath);
    assertEquals([cdi.code, cdi.stderr], [0, ""]);
    const { devices } = JSON.parse(cdi.stdout);
    assertEquals(
      devices.map((device: {
        containerEdits: { mounts: { hostPath: string }[] };
      }) => device.containerEdits.mounts[0]!.hostPath),
      [`${directory}/a.sock`, `${directory}/b.sock`],
    );
  }));

Deno.test("cdi leaves out what it cannot name, and hands over the rest", async () => {
  await using service = await ApiService.start({
    aggregators: { plc0: ["sim/1"] },
  });
  await service.client.createLasting({ name: "_x", lines: ["sim/1"] });
  const { code, stdout, stderr } = await call(
    "cdi",
    "--api",
    service.client.socketPath,
  );
  assertEquals(code, 0, stderr);
  assertEquals(
    JSON.parse(stdout).devices.map(({ name }: { name: string }) => name),
    ["plc0"],
  );
  assertStringIncludes(stderr, 'gpioagg: "_x" is left out: ');
});

Deno.test("create tells what is wrong usage from what failed", async () => {
  await using service = await ApiService.start({
    aggregators: { there: ["sim/1"] },
  });
  const api = service.client.socketPath;
  for (
    const [name, spec, status, says] of [
      ["a", "sim/1,sefe=0", 2, "Did you mean safe?"],
      ["a b", "sim/1", 2, "1 to 64 letters"],
      ["there", "sim/1", 1, 'There is an aggregator "there" already'],
    ] as const
  ) {
    for (const how of [[], ["--detach"]]) {
      const args = ["create", name, "--line", spec, "--api", api, ...how];
      const { code, stdout, stderr } = await call(...args);
      assertEquals([code, stdout], [status, ""]);
      assertStringIncludes(stderr, says);
    }
  }
});

Deno.test("a name that is a directory in a URL is no aggregator's", async () => {
  await using service = await ApiService.start();
  const api = service.client.socketPath;
  for (const args of [["show", ".."], ["remove", "."], ["show", ""]]) {
    const { code, stderr } = await call(...args, "--api", api);
    assertEquals([code, stderr], [
      1,
      `gpioagg: There is no aggregator "${args[1]}"\n` +
      "gpioagg: gpioagg list shows the aggregators\n",
    ]);
  }
});

Deno.test("serve tells which audit log it cannot write, and why", () =>
  withDirectory(async (directory) => {
    const api = `${directory}/api.sock`;
    for (
      const [file, why] of [
        [`${directory}/none/x.log`, "no such file or directory (ENOENT)"],
        [directory, "is a directory (EISDIR)"],
      ] as const
    ) {
      const { code, stderr } = await call(
        "serve",
        "--api",
        api,
        "--audit-log",
        file,
      );
      assertEquals([code, stderr], [
        1,
        `gpioagg: Cannot write to the audit log ${file}: ${why}\n`,
      ]);
    }
  }));

Deno.test("create ends within its limit, though its service stands still", async () => {
  await using service = await ApiService.start();
  const api = service.client.socketPath;
  await using creation = await start([
    "create",
    "plc0",
    "--line",
    "sim/1",
    "--api",
    api,
  ]);
  await creation.waitFor("plc0.sock");
  service.process.kill("SIGSTOP");
  try {
    creation.kill("SIGTERM");
    const { code } = await creation.waitForExit({ timeoutMs: 120_000 });
    assertEquals(code, 1);
    assertStringIncludes(
      creation.stderr,
      `Cannot tell whether plc0 is gone. No answer came from ${api} within 5 s`,
    );
    const list = await call("list", "--api", api);
    assertEquals([list.code, list.stdout], [1, ""]);
    assertStringIncludes(
      list.stderr,
      `gpioagg: No answer came from ${api} within 10 s`,
    );
  } finally {
    service.process.kill("SIGCONT");
  }
  // It goes on: the lease has no holder any more.
  assert((await call("list", "--api", api)).code === 0);
});

Deno.test("every text of help that a disk has no room for is told, in one line", async () => {
  for (const args of ["--help", "help list", "list --help", "--version", ""]) {
    await using process = new ChildProcess({
      command: "sh",
      args: [
        ...["-c", 'exec "$@" >/dev/full', "sh"],
        ...[PROGRAM_FILE, ...PROGRAM, ...args.split(" ").filter(Boolean)],
      ],
    });
    const { code } = await process.waitForExit({ timeoutMs: 120_000 });
    assertEquals([code, process.stderr], [
      1,
      "gpioagg: cannot write to standard output: No space left on device\n",
    ]);
  }
});
