/**
 * The compiled executable where a checkout could not run: without an environment,
 * files, rights or streams.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { GLIBC, LIBRARIES } from "../../scripts/compile.ts";
import { readElf } from "../../scripts/executable/elf.ts";
import { artefact, mustSkip } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { EXECUTABLE, lacksExecutable } from "../environment/program.ts";
import { hasApi } from "../../src/http/runtime.ts";
import { Installation, run, shell } from "./executable_rig.ts";
import { lacksRoot } from "../doubles/skipped.ts";

const ignore = lacksExecutable();
const isUser = lacksRoot("other users and surroundings");

/** The last line that the demo prints of a guest's interrupts. */
const DEMO_WORKED = "guest: interrupt of line 2, reads 0";
/** A user who owns nothing. */
const UNPRIVILEGED = ["--reuid=65534", "--regid=65534", "--clear-groups"];

function test(name: string, fn: () => Promise<void>, skipped = false): void {
  Deno.test({ name, fn, ignore: ignore || skipped });
}

test("the executable needs the libraries that the guide names, of glibc 2.27", () => {
  const { machine, libraries, glibc } = readElf(EXECUTABLE!);
  assertEquals(machine, Deno.build.arch);
  assertEquals(libraries, [...LIBRARIES].sort());
  assert(
    GLIBC.localeCompare(glibc, "en", { numeric: true }) >= 0,
    `glibc ${glibc}`,
  );
  return Promise.resolve();
});

test("it tells its version, and that it is an executable", async () => {
  const { code, stdout } = await run(EXECUTABLE!, ["version", "--json"]);
  assertEquals(code, 0);
  const told = JSON.parse(stdout);
  assertEquals(told.isExecutable, true);
  assertEquals(told.machine, Deno.build.arch);
  assertMatch(told.version, /^\d+\.\d+\.\d+$/);
});

test("a control API is served, or refused at the start with the reason", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-api-" });
  try {
    const { deno } = JSON.parse(
      (await run(EXECUTABLE!, ["version", "--json"])).stdout,
    );
    const api = `${directory}/api.sock`;
    await using service = new ChildProcess({
      command: EXECUTABLE!,
      args: [
        ...["serve", "--api", api, "--socket-path", `${directory}/x.sock`],
        ...["--line", "sim/2"],
      ],
    });
    if (hasApi(deno)) {
      await service.waitFor("control API at", { timeoutMs: 120_000 });
      const listed = await run(EXECUTABLE!, ["list", "--api", api]);
      assertEquals(listed.code, 0, listed.stderr);
      service.kill("SIGTERM");
      assertEquals((await service.waitForExit()).code, 0, service.stderr);
      return;
    }
    const says = new RegExp(
      `^gpioagg: The control API needs Deno [\\d.]+ or newer, .* Deno ${deno}\n` +
        `gpioagg: .*deno task compile\n$`,
    );
    assertEquals((await service.waitForExit()).code, 1);
    assertMatch(service.stderr, says);
    assertEquals(listDirectory(directory), []);
    const listed = await run(EXECUTABLE!, ["list", "--api", api]);
    assertEquals(listed.code, 1);
    assertMatch(listed.stderr, says);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

test("links under the tools' names are the tools", async () => {
  using installation = new Installation();
  const { directory, program } = installation;
  const installed = await run(program, ["install-tools", directory]);
  assertEquals(installed.code, 0, installed.stderr);
  for (const [tool, pattern] of Object.entries({ gpioget: /^gpioget /m })) {
    assertEquals(Deno.readLinkSync(`${directory}/${tool}`), program);
    const { code, stdout } = await run(`${directory}/${tool}`, ["--version"]);
    assertEquals(code, 0);
    assertMatch(stdout, pattern);
  }
  const { code, stderr } = await run(`${directory}/gpioset`, []);
  assertEquals(code, 1);
  assertMatch(stderr, /^gpioset: /);
});

test("an empty environment, no HOME and another directory are enough", async () => {
  const { code, stdout, stderr } = await shell(
    'cd /; exec env -i "$1" demo',
    EXECUTABLE!,
  );
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, DEMO_WORKED);
});

test("streams that are closed end nothing", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-closed-" });
  try {
    const socket = `${directory}/x.sock`;
    await using service = new ChildProcess({
      command: "/bin/sh",
      args: [
        ...["-c", 'exec "$@" <&- >&- 2>&-', "sh", EXECUTABLE!, "serve"],
        ...["--socket-path", socket, "--line", "sim/2,as=LAMP"],
      ],
    });
    const listens = Date.now() + 30_000;
    while (fileStatus(socket) === undefined) {
      assert(Date.now() < listens, "no socket after 30 s");
      assertEquals(service.status, undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const probed = await run(EXECUTABLE!, ["probe", socket]);
    assertEquals(probed.code, 0, probed.stderr);
    assertStringIncludes(probed.stdout, "LAMP1");
    service.kill("SIGTERM");
    assertEquals((await service.waitForExit()).code, 0);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

test("no file in the temporary directory is read, waited for or made", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-planted-" });
  try {
    using installation = new Installation();
    // What deno compile would have it read, were it not told otherwise.
    const cache = `${directory}/deno-compile-gpioagg.cache`;
    const made = await run("mkfifo", [cache]);
    assertEquals(made.code, 0, made.stderr);
    for (const args of [["--version"], ["demo"]]) {
      const { code, stderr } = await run(installation.program, args, {
        env: { TMPDIR: directory },
      });
      assertEquals(code, 0, stderr);
    }
    Deno.removeSync(cache);
    Deno.writeTextFileSync(cache, "planted");
    const { code } = await run(installation.program, ["demo"], {
      env: { TMPDIR: directory },
    });
    assertEquals(code, 0);
    assertEquals(Deno.readTextFileSync(cache), "planted");
    assertEquals(listDirectory(directory), ["deno-compile-gpioagg.cache"]);
    Deno.removeSync(cache);
    await run(installation.program, ["--version"], {
      env: { TMPDIR: directory },
    });
    assertEquals(listDirectory(directory), []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

test("an unprivileged user runs it", async () => {
  using installation = new Installation();
  const { code, stdout, stderr } = await run(
    "setpriv",
    [...UNPRIVILEGED, "env", "-i", installation.program, "demo"],
    { cwd: "/" },
  );
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, DEMO_WORKED);
}, isUser);

for (
  const [release, name] of [
    ["bullseye", "11"],
    ["bookworm", "12"],
    ["trixie", "13"],
  ] as const
) {
  const root = `${release}Root` as const;
  test(
    `on a read-only file system with the libraries of Debian ${name} and nothing else`,
    async () => {
      const { code, stdout, stderr } = await run("unshare", [
        ...["--mount", "--pid", "--fork", "--propagation=private"],
        ...[
          "/bin/sh",
          "-euc",
          `
          mount --bind "$1" "$1"
          touch "$1/usr/bin/gpioagg"
          mount --bind "$2" "$1/usr/bin/gpioagg"
          mount -t proc none "$1/proc"
          mount -t tmpfs none "$1/run"
          mount -o remount,bind,ro "$1"
          exec chroot "$1" /usr/bin/gpioagg demo
          `,
          "sh",
          await artefact(root),
          EXECUTABLE!,
        ],
      ], { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } });
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout, DEMO_WORKED);
    },
    isUser || await mustSkip(root),
  );
}
