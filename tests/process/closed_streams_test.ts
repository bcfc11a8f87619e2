/** Starts with standard streams that are closed, and in odd surroundings. */
import { assert, assertEquals } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { readLink } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const LIMIT = { timeoutMs: 120_000 };

/** Starts the program by a shell that has prepared what it inherits. */
function start(prepare: string, args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: "sh",
    args: [
      ...["-c", `${prepare}\nexec "$@"`, "sh"],
      ...[PROGRAM_FILE, ...PROGRAM, ...args],
    ],
  });
}

async function scratch() {
  const path = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "gpioagg-closed-" }),
  );
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** All choices of standard streams that are closed, as words of the shell. */
const CLOSED = [1, 2, 3, 4, 5, 6, 7].map((choice) =>
  [0, 1, 2].filter((fd) => (choice >> fd) & 1)
);
const NULL = /^\/dev\/null$/;
/** Streams that the tests give: null, or pipes. */
const GIVEN = /^(\/dev\/null|pipe:.*)$/;

function closing(fds: readonly number[]): string {
  return `exec ${fds.map((fd) => `${fd}${fd === 0 ? "<" : ">"}&-`).join(" ")}`;
}

/** The standard streams of a process are null where they were closed. */
function assertStreams(links: readonly string[], closed: readonly number[]) {
  assertEquals(links.length, 3, `${closed}: ${links}`);
  for (const [fd, link] of links.entries()) {
    const wanted = closed.includes(fd) ? NULL : GIVEN;
    assert(wanted.test(link), `${fd} is ${link}, closed: ${closed}`);
  }
}

function listStreams(pid: number): string[] {
  return [0, 1, 2].map((fd) => readLink(`/proc/${pid}/fd/${fd}`) ?? "nothing");
}

Deno.test("no file of ours takes the place of a closed stream, here and in a VMM", async () => {
  await using it = await scratch();
  const seen = `${it.path}/seen`;
  for (const closed of CLOSED) {
    await using process = start(closing(closed), [
      ...["run", "--line", "sim/1", "--", "sh", "-c"],
      // The shell that is asked, and the program that asks for it.
      `a=$(for n in 0 1 2; do readlink /proc/$$/fd/$n; done)
      b=$(for n in 0 1 2; do readlink /proc/$PPID/fd/$n; done)
      echo "$a\n$b" >"$0"; : "$1"`,
      ...[seen, "{socket}"],
    ]);
    const { code } = await process.waitForExit(LIMIT);
    assertEquals(code, 0, `${closed}: ${process.stderr}`);
    const streams = Deno.readTextFileSync(seen).trim().split("\n");
    assertStreams(streams.slice(0, 3), closed);
    assertStreams(streams.slice(3), closed);
  }
});

Deno.test({
  name: "no file of a service, or of what looks at it, is where a stream was",
  ignore: lacksApi(),
  fn: async () => {
    await using it = await scratch();
    for (const closed of CLOSED) {
      const api = `${it.path}/${closed.join("")}.sock`;
      await using service = start(closing(closed), [
        ...["serve", `--api=${api}`, `--socket-path=${it.path}/a.sock`],
        "--line=sim/1,as=START",
      ]);
      await until("the control API", () => {
        assertEquals(service.status, undefined, service.stderr);
        return fileStatus(api) !== undefined;
      }, 120_000);
      const client = new ServiceClient(api);
      // This is told on a stream.
      await client.pull("a", { START: 1 });
      assertStreams(listStreams(service.pid), closed);
      if (closed.length === 3) await lookWithout(api);
      service.kill("SIGTERM");
      assertEquals((await service.waitForExit(LIMIT)).code, 0, service.stderr);
    }
  },
});

/** Looks at a service, with streams that are closed. */
async function lookWithout(api: string): Promise<void> {
  for (
    const [command, ...args] of [
      ["get", "--api", api, "a.START"],
      ["top", "--once", "--api", api],
    ]
  ) {
    for (const closed of [[0, 2], [0, 1]]) {
      await using process = start(closing(closed), [command!, ...args]);
      const { code } = await process.waitForExit(LIMIT);
      assertEquals(code, 0, `${command} without ${closed}: ${process.stderr}`);
      const isTold = process.stdout.includes("START");
      assertEquals(isTold, !closed.includes(1), `${command}: ${closed}`);
    }
  }
  for (
    const args of [
      ["ui", "--port=0", "--api", api],
      ["watch", "--api", api],
      ["mon", "--api", api, "a.START"],
    ]
  ) {
    for (const closed of [[0, 2], [0, 1, 2]]) {
      await using process = start(closing(closed), args);
      await until(
        "its connection, or socket",
        () => {
          assertEquals(process.status, undefined, process.stderr);
          return hasSocket(process.pid);
        },
        120_000,
      );
      assertStreams(listStreams(process.pid), closed);
    }
  }
}

function hasSocket(pid: number): boolean {
  const directory = `/proc/${pid}/fd`;
  return listDirectory(directory).some((name) =>
    readLink(`${directory}/${name}`)?.startsWith("socket:") === true
  );
}

Deno.test({
  name: "a service without streams writes only what belongs into its files",
  ignore: lacksApi(),
  fn: async () => {
    await using it = await scratch();
    const [api, log] = [`${it.path}/api.sock`, `${it.path}/audit.log`];
    await using service = start(
      "cd /; unset TMPDIR XDG_RUNTIME_DIR; exec <&- >&- 2>&-",
      ["serve", `--api=${api}`, `--api-sockets=${it.path}`, "--audit-log", log],
    );
    await until(
      "the control API",
      () => {
        assertEquals(service.status, undefined);
        return fileStatus(api) !== undefined;
      },
      120_000,
    );
    const client = new ServiceClient(api);
    await client.createLasting({ name: "a", lines: ["sim/1"] });
    // These are told on a stream, and audited.
    await client.pull("a", { 0: 1 });
    await client.remove("a");
    service.kill("SIGTERM");
    assertEquals((await service.waitForExit(LIMIT)).code, 0);
    const actions = Deno.readTextFileSync(log).trim().split("\n")
      .map((line) => JSON.parse(line).action);
    assertEquals(actions, ["create", "pull", "remove"]);
    assertEquals(fileStatus(log)?.mode, 0o600);
    assertEquals([...Deno.readDirSync(it.path)].map(({ name }) => name), [
      "audit.log",
    ]);
  },
});
