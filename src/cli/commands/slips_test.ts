/** Slips in names and paths of sockets: what was probably meant is said. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { listenUnix } from "../../../ffi/unix_socket.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import { COMMANDS } from "../commands.ts";
import { buildCatalog } from "../usage/catalog.ts";
import { ControlName } from "../../service/control/control_names.ts";

/** Sockets of a service that answers nothing, below a runtime directory. */
function rig() {
  const stack = new DisposableStack();
  const path = stack.adopt(
    Deno.makeTempDirSync(),
    (path) => Deno.removeSync(path, { recursive: true }),
  );
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  Deno.env.set("XDG_RUNTIME_DIR", path);
  stack.defer(() =>
    before === undefined
      ? Deno.env.delete("XDG_RUNTIME_DIR")
      : Deno.env.set("XDG_RUNTIME_DIR", before)
  );
  for (
    const name of [
      "press.sock",
      "press.sock.control",
      "main-api.sock",
      "api.sock",
      "look.sock",
    ]
  ) {
    stack.use(listenUnix(`${path}/${name}`));
  }
  stack.use(ControlName.publish("press", `${path}/press.sock.control`)!);
  return { path, [Symbol.dispose]: () => stack.dispose() };
}

async function refused(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await gpioagg(args);
  assertEquals([code, stdout], [1, ""], args.join(" "));
  return stderr;
}

Deno.test("sim knows the name or path that was probably meant", async () => {
  using it = rig();
  for (
    const [slip, meant] of [
      ["pres", "press"],
      ["PRESS", "press"],
      [`${it.path}/pres.sock`, `${it.path}/press.sock`],
    ] as const
  ) assertStringIncludes(await refused("sim", slip), `did you mean ${meant}?`);
  const none = await refused("sim", "somewhere-else");
  assertEquals(none.includes("did you mean"), false, none);
});

Deno.test("sim says so if a socket is another one", async () => {
  using it = rig();
  assertStringIncludes(
    await refused("sim", `${it.path}/main-api.sock`),
    "main-api.sock is another socket, not a vhost-user socket",
  );
});

testSerially(
  "paths of sockets that are not there are followed by similar ones",
  async () => {
    using it = rig();
    const [api, vmm] = [`${it.path}/mian-api.sock`, `${it.path}/press.sok`];
    for (
      const [command, meant] of [
        [["list", "--api", api], "main-api.sock"],
        [["show", "press", "--api", api], "main-api.sock"],
        [["remove", "press", "--api", api], "main-api.sock"],
        [["reload", "--api", api], "main-api.sock"],
        [["create", "a", "--line", "sim/1", "--api", api], "main-api.sock"],
        [["probe", vmm], "press.sock"],
        [["run", "--attach", vmm, "--", "true", "{socket}"], "press.sock"],
      ] as const
    ) {
      assertStringIncludes(
        await refused(...command),
        `did you mean ${it.path}/${meant}?`,
      );
    }
  },
);

testSerially(
  "run --attach says what it is given in place of a vhost-user socket",
  async () => {
    using it = rig();
    for (
      const [name, purpose] of [
        ["api.sock", "the socket of a service's control API"],
        ["look.sock", "the socket of a service's control API"],
        ["press.sock.control", "the control socket of an aggregator"],
      ] as const
    ) {
      const path = `${it.path}/${name}`;
      assertStringIncludes(
        await misused("run", "--attach", path, "--", "true", "{socket}"),
        `--attach ${path}: is ${purpose}`,
      );
    }
  },
);

Deno.test("run names an unknown option before what is missing", async () => {
  for (
    const [args, says] of [
      [["--jsn"], "unknown option --jsn"],
      [["--jsn", "--", "true"], "unknown option --jsn"],
      [["--respwan", "--", "true"], "--respawn?"],
      [["--line", "sim/1", "--atach=x", "--", "true"], "--attach?"],
    ] as const
  ) assertStringIncludes(await misused("run", ...args), says);
});

Deno.test("safe says how a configuration file is given, and what else it takes", async () => {
  using it = rig();
  const file = `${it.path}/plant.yaml`;
  Deno.writeTextFileSync(file, "aggregators: {}\n");
  for (
    const [args, says] of [
      [["--config", file], "no line was made safe. Without a file, write"],
      [[file], `It is a file: gpioagg safe --config ${file}`],
    ] as const
  ) {
    assertStringIncludes(await misused("safe", ...args), says);
  }
  // What cannot be looked at is no reason for another error.
  Deno.symlinkSync(`${it.path}/circle`, `${it.path}/circle`);
  const text = await misused("safe", `${it.path}/circle/0`);
  assertStringIncludes(text, `${it.path}/circle/0: has no safe state`);
});

Deno.test("a recording that is none says what it must be", async () => {
  using it = rig();
  const file = `${it.path}/plant.yaml`;
  Deno.writeTextFileSync(file, "aggregators: {}\n");
  const text = await refused("record", "--file", file);
  assertStringIncludes(text, `Cannot read ${file}: row 1`);
  assertStringIncludes(text, "record: { file: PATH }");
  const none = `${file}.none`;
  assertEquals(
    await refused("record", "--file", none),
    `gpioagg: Cannot read ${none}: no such file or directory (ENOENT)\n`,
  );
});

Deno.test("an option's empty value is none", async () => {
  for (
    const args of [
      ["list", "--api", ""],
      ["list", "--api="],
      ["watch", "--api", "", "press"],
      ["serve", "--socket-path", "", "--line", "sim/1"],
      ["probe", "press.sock", "--get", ""],
      ["run", "--attach", "", "--", "true"],
    ]
  ) {
    const option = args.find((arg) => arg.startsWith("--"))!.replace("=", "");
    assertStringIncludes(await misused(...args), `${option}: needs a value`);
  }
});

Deno.test("an option without a value takes none, in any command", async () => {
  for (
    const [args, option] of [
      [["list", "--json=no"], "--json"],
      [["remove", "press", "--force=false"], "--force"],
      [["remove", "press", "--force="], "--force"],
      [["create", "a", "--line", "sim/1", "--detach=0"], "--detach"],
      [["serve", "--socket-path", "s", "--isolate=no"], "--isolate"],
      [["run", "--isolate=no", "--line", "sim/1", "--", "true"], "--isolate"],
      [["kernel", "remove", "a", "--force=no"], "--force"],
      [["kernel", "create", "--detach=no", "--line", "a"], "--detach"],
      [["demo", "--vm=no"], "--vm"],
      [["record", "-f=no"], "-f"],
      [["version", "--json=no"], "--json"],
      [["list", "--help=no"], "--help"],
    ] as const
  ) {
    assertStringIncludes(
      await misused(...args),
      `${option}: takes no value`,
      args.join(" "),
    );
  }
});

Deno.test("an option behind a missing value is not its value", async () => {
  for (
    const args of [
      ["wait", "press.A=1", "--timeout", "-1"],
      ["record", "--csv", "-f"],
    ]
  ) assertStringIncludes(await misused(...args), ": needs a value");
});

Deno.test("record refuses one file for two formats", async () => {
  assertStringIncludes(
    await misused("record", "--vcd", "/tmp/night", "--csv", "/tmp/night"),
    "--csv /tmp/night: is the file of another format already",
  );
});

Deno.test("record refuses the tick of a dump that is not written", async () => {
  for (const more of [[], ["--csv", "/tmp/night"], ["--file", "/none"]]) {
    assertStringIncludes(
      await misused("record", "--timescale", "1ms", ...more),
      "--timescale: is the tick of a dump, and none is written",
    );
  }
});

Deno.test("tools are known by libgpiod's names, and options as such", async () => {
  const help = await gpioagg(["help", "gpioget"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assertStringIncludes(help.stdout, "gpioget [");
  assertStringIncludes(await misused("gpioget"), "did you mean gpioagg get?");
  const slip = await misused("--versoin");
  assertStringIncludes(slip, "unknown option --versoin");
  assertStringIncludes(slip, "did you mean gpioagg --version?");
});

Deno.test("help is asked for by a word, where it is no name of anything", async () => {
  for (
    const [words, command] of [
      [["serve", "help"], ["serve"]],
      [["force", "help"], ["force"]],
      [["wait", "help"], ["wait"]],
      [["man", "help"], ["man"]],
      [["kernel", "help"], ["kernel"]],
      [["kernel", "help", "create"], ["kernel", "create"]],
      [["kernel", "create", "help"], ["kernel", "create"]],
      [["help", "kernel", "create"], ["kernel", "create"]],
    ] as const
  ) {
    assertEquals(
      await gpioagg([...words]),
      await gpioagg([...command, "--help"]),
      words.join(" "),
    );
  }
  // An aggregator, a file or a line may be called so.
  using _rig = rig();
  for (const command of ["show", "check", "probe", "get", "kernel remove"]) {
    const { code, stdout, stderr } = await gpioagg([
      ...command.split(" "),
      "help",
    ]);
    assertEquals([code > 0, stdout], [true, ""], command);
    assertEquals(
      stderr.includes(`gpioagg ${command} --help describes the command\n`),
      command !== "kernel remove",
      stderr,
    );
  }
  assertStringIncludes(await misused("hlep"), "did you mean gpioagg help?");
});

Deno.test("a missing value is described as in --help", async () => {
  for (
    const [args, says] of [
      [["watch", "--since"], "Write --since TIME"],
      [["serve", "--usbredir"], "Write --usbredir PATH[,device=ljca|cp2112]"],
      [["probe", "s", "--get"], "Write --get NAME"],
      [["play", "a", "--map"], "Write --map SIGNAL=NAME.LINE"],
    ] as const
  ) assertStringIncludes(await misused(...args), says);
});

Deno.test("values are checked before a service or a terminal is looked for", async () => {
  const forced = ["force", "a.b=1", "--for"];
  for (
    const [args, says] of [
      [[...forced, "soon", "--reason", "a test"], "--for"],
      [[...forced, "25h", "--reason", "a test"], "at most 24h"],
      [[...forced, "1h", "--reason", " "], "--reason"],
      [["top", "--window", "1d"], "--window"],
      [["wait", "a.b=1", "--timeout", "soon"], "--timeout"],
      [["demo", "x"], 'unexpected argument "x"'],
      [
        ["serve", "--usbredir", "/tmp/x,devise=ljca", "--line", "sim/1"],
        "Write PATH[,device=ljca|cp2112]",
      ],
    ] as const
  ) assertStringIncludes(await misused(...args), says);
});

Deno.test("tools say which words an option takes, under gpioagg's name", async () => {
  for (
    const [args, says] of [
      [["mon", "--vcd-timescale", "3us", "x"], "100us or 1ms"],
      [["set", "--leave", "low", "x=1"], "use 0, 1, input, previous or as-is"],
      [["get", "--bias", "up", "x"], "use pull-up, pull-down or disabled"],
    ] as const
  ) assertStringIncludes(await refused(...args), says);
});

Deno.test("what a command prints it prints as JSON too", async () => {
  // Texts and pictures, or nothing.
  const others = [
    ...["schema", "cdi", "man", "completions", "record", "demo", "top"],
    ...["run", "remove", "safe"],
  ];
  const without = (await buildCatalog(COMMANDS)).filter((
    { options, actions },
  ) =>
    [options, ...actions.map(({ options }) => options)].every((all) =>
      all.every(({ long }) => long !== "json")
    )
  ).map(({ name }) => name);
  assertEquals(without.sort(), others.sort());
});

Deno.test("check --json tells of a file that cannot be read", async () => {
  const { code, stdout, stderr } = await gpioagg(["check", "--json", "/none"]);
  assertEquals([code, stderr], [2, ""]);
  const { file, valid, errors } = JSON.parse(stdout);
  assertEquals([file, valid, errors.length], ["/none", false, 1]);
  assertEquals(errors[0].file, "/none");
  assertEquals(
    errors[0].problem,
    "cannot read the configuration: no such file",
  );
});

async function misused(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await gpioagg(args);
  assertEquals([code, stdout], [2, ""], args.join(" "));
  return stderr;
}
