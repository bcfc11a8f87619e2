/** Commands that find the services of this machine by themselves. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ChildProcess } from "../environment/process.ts";
import { withDirectory } from "./run_rig.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

function start(
  runtime: string,
  args: readonly string[],
): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args],
    env: { XDG_RUNTIME_DIR: runtime },
  });
}

/** A service in a directory as the units make them. */
async function serve(
  runtime: string,
  directory: string,
  aggregator: string,
  sockets: readonly string[] = ["--api", "--api-look"],
): Promise<ChildProcess> {
  const place = `${runtime}/${directory}`;
  await Deno.mkdir(place, { recursive: true });
  const files: Record<string, string> = {
    "--api": "api.sock",
    "--api-look": "look.sock",
  };
  const service = await start(runtime, [
    "serve",
    ...sockets.flatMap((option) => [option, `${place}/${files[option]}`]),
    "--socket-path",
    `${place}/${aggregator}.sock`,
    "--line",
    "sim/1,as=L",
  ]);
  await service.waitFor(`${aggregator}: serving 1 line`, { stream: "stderr" });
  return service;
}

async function call(
  runtime: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using process = await start(runtime, args);
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

Deno.test("services of units are found; of several the one that has the aggregator", () =>
  withDirectory(async (runtime) => {
    await using _one = await serve(runtime, "gpioagg-plc0", "press");
    const alone = await call(runtime, "list");
    assertEquals(alone.code, 0, alone.stderr);
    assertStringIncludes(alone.stdout, "NAME   LINES");
    assertStringIncludes(alone.stdout, `${runtime}/gpioagg-plc0/press.sock`);

    await using _two = await serve(runtime, "gpioagg", "crane");
    const list = await call(runtime, "list");
    assertEquals(list.code, 0, list.stderr);
    assertEquals(
      list.stdout.trim().split("\n").map((row) =>
        row.split(/ +/).slice(0, 2).join(" ")
      ),
      ["SERVICE NAME", "gpioagg crane", "plc0 press"],
    );
    const json = await call(runtime, "list", "--json");
    assertEquals(
      JSON.parse(json.stdout).map((
        { service, name }: { service: string; name: string },
      ) => `${service}.${name}`),
      ["gpioagg.crane", "plc0.press"],
    );
    for (const [name, directory] of [["press", "-plc0"], ["crane", ""]]) {
      const shown = await call(runtime, "show", name!);
      assertStringIncludes(shown.stdout, `gpioagg${directory}/${name}.sock`);
    }
    const slip = await call(runtime, "show", "pres");
    assertEquals(slip.code, 1);
    assertStringIncludes(slip.stderr, "Did you mean press?");
    // Either could make it.
    const create = await call(runtime, "create", "x", "--line", "sim/1");
    assertEquals(create.code, 2);
    assertStringIncludes(create.stderr, "several services can do this");
    assertStringIncludes(
      create.stderr,
      `plc0 (${runtime}/gpioagg-plc0/api.sock)`,
    );
    for (const api of ["plc0", `${runtime}/gpioagg-plc0/api.sock`]) {
      const { stdout } = await call(runtime, "list", "--api", api);
      assertEquals(/press/.test(stdout) && !/crane/.test(stdout), true, stdout);
    }
    const unknown = await call(runtime, "list", "--api", "plc1");
    assertEquals(unknown.code, 1);
    assertStringIncludes(unknown.stderr, "Did you mean plc0?");
  }));

Deno.test("a service that may only be looked at is found for looking", () =>
  withDirectory(async (runtime) => {
    await using _service = await serve(runtime, "gpioagg", "press", [
      "--api-look",
    ]);
    for (const args of [["list"], ["show", "press"]]) {
      const { code, stderr } = await call(runtime, ...args);
      assertEquals(code, 0, stderr);
    }
    const { code, stderr } = await call(runtime, "remove", "press");
    assertEquals(code, 1);
    assertStringIncludes(stderr, "look-only socket and none for changes");
  }));

Deno.test("without any service the places that were searched are named", () =>
  withDirectory(async (runtime) => {
    await Deno.mkdir(`${runtime}/gpioagg-plc0`);
    const { code, stderr } = await call(runtime, "list");
    assertEquals(code, 1);
    assertStringIncludes(stderr, "No running service found");
    assertStringIncludes(stderr, `${runtime}/gpioagg-plc0`);
    assertStringIncludes(stderr, "--api PATH");
  }));

Deno.test("run --attach gives a VM the lines of a service, which keeps them", () =>
  withDirectory(async (runtime) => {
    await using _service = await serve(runtime, "gpioagg-plc0", "press");
    const socket = `${runtime}/gpioagg-plc0/press.sock`;
    for (const target of ["press", socket]) {
      const run = await call(
        runtime,
        ...["run", "--attach", target, "--", "sh", "-c"],
        "echo {socket} {socket:press}; exit 3",
      );
      assertEquals([run.code, run.stdout], [3, `${socket} ${socket}\n`]);
    }
    // Beside lines of its own, which then have a name to tell them by.
    const both = await call(
      runtime,
      ...["run", "--attach", "press", "--name", "own", "--line", "sim/1"],
      ...["--", "echo", "{socket:press}", "{socket:own}"],
    );
    assertEquals(both.code, 0, both.stderr);
    assertEquals(both.stdout.split(" ")[0], socket);
    const list = await call(runtime, "list");
    assertStringIncludes(list.stdout, "press");

    const refused: readonly [string[], number, string][] = [
      [["--attach", "pres"], 1, 'There is no aggregator "pres"'],
      [["--attach", `${runtime}/none.sock`], 1, "there is no such socket"],
      [["--attach", `${runtime}`], 1, "it is a directory, not a socket"],
      [["--attach"], 2, "--attach: needs a value"],
      [
        ["--api", "x.sock", "--line", "sim/1"],
        2,
        "--api: applies to a service",
      ],
      [["--attach", "press", "--attach", socket], 2, "is given twice"],
      [
        ["--attach", "press", "--name", "press", "--line", "sim/1"],
        2,
        'this VM has an aggregator "press" of its own',
      ],
    ];
    for (const [args, code, says] of refused) {
      const run = await call(runtime, "run", ...args, "--", "echo", "{socket}");
      assertStringIncludes(run.stderr, says);
      assertEquals([run.code, run.stdout], [code, ""]);
    }
    // A VMM that is connected already keeps it.
    await using monitor = await start(runtime, [
      ...["probe", socket, "--monitor", "--num-events", "1"],
    ]);
    await monitor.waitFor("virtio-gpio device at");
    const second = await call(
      runtime,
      ...["run", "--attach", "press", "--", "echo", "{socket}"],
    );
    assertEquals(second.code, 1);
    assertStringIncludes(second.stderr, "another VMM is connected");
  }));

Deno.test("run --attach finds an aggregator whose service has its API elsewhere, or none", () =>
  withDirectory(async (runtime) => {
    await Deno.mkdir(`${runtime}/srv`);
    const sockets = [`${runtime}/srv/press.sock`, `${runtime}/srv/saw.sock`];
    const other = ["--api", `${runtime}/srv/plant-control`];
    await using one = await start(runtime, [
      ...["serve", "--socket-path", sockets[0]!, "--line", "sim/1", ...other],
    ]);
    await one.waitFor("press: serving 1 line", { stream: "stderr" });
    await using two = await start(runtime, [
      ...["serve", "--socket-path", sockets[1]!, "--line", "sim/1"],
    ]);
    await two.waitFor("saw: serving 1 line", { stream: "stderr" });
    const print = ["--", "echo", "{socket}"];
    const attach = (...args: string[]) =>
      call(runtime, "run", "--attach", ...args, ...print);
    for (
      const args of [["press"], ["press", ...other], ["saw"]]
    ) {
      const { code, stdout, stderr } = await attach(...args);
      const socket = sockets[args[0] === "saw" ? 1 : 0]!;
      assertEquals([code, stdout], [0, `${socket}\n`], stderr);
    }
    // A service that is named is the one that is meant.
    const wrong = await attach("saw", ...other);
    assertEquals([wrong.code, wrong.stdout], [1, ""]);
    assertStringIncludes(wrong.stderr, 'There is no aggregator "saw"');
    const none = await attach("drill");
    assertEquals([none.code, none.stdout], [1, ""]);
    assertStringIncludes(none.stderr, "No running service found");
    assertStringIncludes(none.stderr, "--api PATH");
  }));

Deno.test("sim finds an aggregator of any service; slips are suggested", () =>
  withDirectory(async (runtime) => {
    await using _service = await serve(runtime, "gpioagg-plc0", "press");
    const shown = await call(runtime, "sim", "press");
    assertEquals(shown.code, 0, shown.stderr);
    assertStringIncludes(shown.stdout, "simulated line L");
    const api = `${runtime}/gpioagg-plc0/api.sock`;
    const named = await call(runtime, "sim", "press", "L=1", "--api", api);
    assertEquals(named, { code: 0, stdout: "", stderr: "" });
    // Not by a look at what else is in the directory.
    const other = await call(runtime, "sim", "press", "--api", `${api}k`);
    assertEquals([other.code, other.stdout], [1, ""]);
    assertStringIncludes(other.stderr, `Cannot reach ${api}k: ENOENT`);
    const line = await call(runtime, "sim", "press", "LL=1");
    assertStringIncludes(line.stderr, "did you mean L?");
    for (const command of [["show"], ["remove"], ["run", "--attach"]]) {
      const { code, stderr } = await call(
        runtime,
        ...command,
        "pres",
        ...(command[0] === "run" ? ["--", "echo", "{socket}"] : []),
      );
      assertEquals(code, 1);
      assertStringIncludes(stderr, 'There is no aggregator "pres"');
      assertStringIncludes(stderr, "Did you mean press?");
    }
  }));

Deno.test("a socket of another kind is told as what it is", () =>
  withDirectory(async (runtime) => {
    await using _service = await serve(runtime, "gpioagg", "press");
    const place = `${runtime}/gpioagg`;
    const cases: readonly (readonly [string[], string])[] = [
      [["list", "--api", `${place}/press.sock`], "answers as a control API"],
      [["watch", "--api", `${place}/press.sock`], "answers as a control API"],
      [["list", "--api", `${runtime}`], "it is a directory, not a socket"],
      [["list", "--api", "/etc/passwd"], "it is a regular file, not a socket"],
      [["probe", "/etc/passwd"], "it is a regular file, not a socket"],
      [["probe", `${place}/api.sock`], "it is a control API's socket"],
      [["probe", `${place}/press.sock.control`], "it is a control socket"],
    ];
    for (const [args, says] of cases) {
      const { code, stderr } = await call(runtime, ...args);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, says);
      for (const foreign of ["ECONNRESET", "Parse Error", "allow-all"]) {
        assertEquals(stderr.includes(foreign), false, stderr);
      }
    }
  }));

Deno.test("remove ends an aggregator of the configuration only with --force", () =>
  withDirectory(async (runtime) => {
    await using _service = await serve(runtime, "gpioagg", "press");
    const refused = await call(runtime, "remove", "press");
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "to the service's own configuration");
    assertStringIncludes(refused.stderr, "--force");
    assertStringIncludes((await call(runtime, "list")).stdout, "press");
    const forced = await call(runtime, "remove", "--force", "press");
    assertEquals([forced.code, forced.stderr], [0, ""]);
    assertEquals((await call(runtime, "list")).stdout.includes("press"), false);
  }));
