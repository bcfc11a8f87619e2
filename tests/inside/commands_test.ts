/** Commands in this isolate, some of them clients of a service in a Worker. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { testSerially } from "../doubles/test_alone.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../doubles/program/captured.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { ConfigService } from "../environment/config_service.ts";
import { listenUnix } from "../../ffi/unix_socket.ts";
import { openChip } from "../../src/gpio/mod.ts";

/** A directory of its own, on the kernel double. */
function rig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  stack.use(runProgramsInside());
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  return {
    kernel,
    directory,
    /** Checks a configuration: its findings. */
    async check(yaml: string) {
      const file = `${directory}/c.yaml`;
      Deno.writeTextFileSync(file, yaml);
      const { code, stdout } = await gpioagg([
        "check",
        "--live",
        "--json",
        file,
      ]);
      const { valid, errors, notes } = JSON.parse(stdout);
      const texts = (list: unknown[]) =>
        list.length === 0 ? "" : JSON.stringify(list);
      assertEquals(code, valid ? 0 : 2);
      return { errors: texts(errors), notes: texts(notes) };
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

testSerially(
  "list, show, reload and remove ask a running service",
  async () => {
    using it = rig();
    await using service = await ConfigService.start((directory) => `
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines: [{ sim: 1, as: DOOR }, { sim: 1, as: LAMP, direction: output, safe: 0 }]
`);
    assertEquals(service.said("ready")[0]!["api"], { socket: service.api });
    const out = async (...args: string[]) => {
      const result = await gpioagg([...args, "--api", service.api]);
      assertEquals([result.code, result.stderr], [0, ""], args.join(" "));
      return result.stdout;
    };
    assertMatch(await out("list"), /plc0/);
    assertEquals(JSON.parse(await out("list", "--json")).length, 1);
    assertMatch(await out("show", "plc0"), /DOOR +input[^]*LAMP +output/);
    assertEquals(
      JSON.parse(await out("show", "--json", "plc0")).lines.length,
      2,
    );
    const unknown = await gpioagg(["show", "plc1", "--api", service.api]);
    assertEquals(unknown.code, 1);
    assertMatch(unknown.stderr, /plc1[^]*plc0/);
    assertMatch(await out("reload"), /plc0|unchanged|nothing/i);
    const attached = await gpioagg([
      "run",
      "--attach",
      "plc0",
      "--api",
      service.api,
      "--",
      `${it.directory}/no-such-vmm`,
      "{socket}",
    ]);
    assert(attached.code !== 0);
    assertMatch(attached.stderr, /no-such-vmm/);
    assertMatch(await out("sim", "plc0"), /DOOR +input/);
    const none = await gpioagg(["sim", "plc1", "--api", service.api]);
    assertMatch(none.stderr, /no aggregator "plc1"[^]*plc0/);
    await out("remove", "--force", "plc0");
    assertEquals(JSON.parse(await out("list", "--json")), []);
  },
);

Deno.test("clients say when there is no service, or none of that name", async () => {
  using it = rig();
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  Deno.env.set("XDG_RUNTIME_DIR", it.directory);
  try {
    for (
      const words of [
        "list",
        "show a",
        "remove a",
        "reload",
        "watch",
        "list --api nope",
      ]
    ) {
      const { code, stderr } = await gpioagg(words.split(" "));
      assertEquals(code === 0, false, words);
      assertMatch(stderr, /service/, words);
    }
  } finally {
    if (before === undefined) Deno.env.delete("XDG_RUNTIME_DIR");
    else Deno.env.set("XDG_RUNTIME_DIR", before);
  }
});

Deno.test("check --live finds chips, lines and files that are not there", async () => {
  using it = rig();
  const chip = it.kernel.addChip({
    lines: 3,
    label: "soc",
    names: { 0: "LED", 1: "KEY" },
    hogs: { 2: "hog" },
  });
  const of = (line: string, more = "") => `
aggregators:
  a:
    vhost-user: ${it.directory}/a.sock
    lines: [${line}]
${more}`;
  assertEquals(await it.check(of("{ chip: soc, offset: 0 }")), {
    errors: "",
    notes: "",
  });
  assertMatch((await it.check(of("{ chip: gone, offset: 0 }"))).errors, /gone/);
  assertMatch((await it.check(of("{ chip: soc, offset: 9 }"))).errors, /9/);
  assertMatch((await it.check(of("{ chip: soc, offset: 2 }"))).errors, /hog/);
  assertMatch((await it.check(of("{ line: LEDD }"))).errors, /LED/);
  using opened = openChip(chip.path);
  using _held = opened.requestLines({ consumer: "me", lines: [{ offset: 0 }] });
  assertMatch((await it.check(of("{ line: LED }"))).errors, /me/);
});

Deno.test("check --live looks at sockets, directories, users and groups", async () => {
  using it = rig();
  const at = (socket: string) => `
aggregators:
  a:
    vhost-user: ${socket}
    lines: [{ sim: 1 }]
`;
  assertMatch(
    (await it.check(at(`${it.directory}/none/a.sock`))).errors,
    /none does not exist/,
  );
  Deno.writeTextFileSync(`${it.directory}/file`, "");
  assertMatch(
    (await it.check(at(`${it.directory}/file`))).errors,
    /regular file/,
  );
  assertMatch(
    (await it.check(at(`${it.directory}/file/a.sock`))).errors,
    /regular file/,
  );
  assertMatch(
    (await it.check(
      at(
        `{ socket: ${it.directory}/a.sock, owner: no-such-user, group: no-such-group }`,
      ),
    )).errors,
    /no-such-user[^]*no-such-group/,
  );
  using _listener = listenUnix(`${it.directory}/used.sock`);
  assertMatch((await it.check(at(`${it.directory}/used.sock`))).notes, /used/);
});

Deno.test("install-tools makes links, and replaces nothing without being told", async () => {
  using it = rig();
  const install = (...args: string[]) => gpioagg(["install-tools", ...args]);
  assertEquals((await install(it.directory)).code, 0);
  const names = [...Deno.readDirSync(it.directory)].map(({ name }) => name);
  assertEquals(names.sort(), [
    "gpiodetect",
    "gpioget",
    "gpioinfo",
    "gpiomon",
    "gpionotify",
    "gpioset",
  ]);
  assertEquals((await install(it.directory)).code, 0, "they are there");
  Deno.removeSync(`${it.directory}/gpioget`);
  Deno.writeTextFileSync(`${it.directory}/gpioget`, "");
  assertMatch((await install(it.directory)).stderr, /exists already/);
  assertEquals((await install("--force", it.directory)).code, 0);
  assertMatch((await install(`${it.directory}/no`)).stderr, /does not exist/);
  assertEquals((await install()).code, 2);
});

Deno.test("every command has a help that begins with its usage", async () => {
  const { COMMANDS } = await import("../../src/cli/commands.ts");
  for (const [name, { isHidden }] of Object.entries(COMMANDS)) {
    if (isHidden) continue;
    const { code, stdout } = await gpioagg([name, "--help"]);
    assertEquals(code, 0, name);
    assertMatch(stdout, /^Usage: /, name);
  }
});

Deno.test("help behind a command is its help, where it can be no name", async () => {
  for (const name of ["serve", "list", "kernel", "completions", "version"]) {
    const { code, stdout } = await gpioagg([name, "help"]);
    assertEquals(code, 0, name);
    assert(stdout.startsWith(`Usage: gpioagg ${name}`), stdout);
  }
  const show = await gpioagg(["show", "help", "--api", "/no/such.sock"]);
  assertEquals([show.code, show.stdout], [1, ""]);
});

Deno.test("completions and manual pages have every command", async () => {
  using it = rig();
  const { COMMANDS } = await import("../../src/cli/commands.ts");
  const names = Object.keys(COMMANDS).filter((name) =>
    COMMANDS[name]!.isHidden !== true
  );
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await gpioagg(["completions", shell]);
    assertEquals(code, 0);
    for (const name of names) assertMatch(stdout, new RegExp(`\\b${name}\\b`));
  }
  const slip = await gpioagg(["completions", "bahs"]);
  assertEquals(slip.code, 2);
  assertMatch(slip.stderr, /did you mean bash/i);
  const written = await gpioagg(["man", "--output", it.directory]);
  assertEquals([written.code, written.stderr], [0, ""]);
  for (const name of names) {
    Deno.statSync(`${it.directory}/man1/gpioagg-${name}.1`);
  }
  const page = await gpioagg(["man", "mon", "--roff"]);
  assert(page.stdout.startsWith(".TH GPIOMON 1 "), page.stdout);
  assertEquals((await gpioagg(["man", "mno"])).code, 2);
});

Deno.test("complete-words prints chips, lines and SPECs of the host", async () => {
  using it = rig();
  it.kernel.addChip({ lines: 2, names: { 0: "LED", 1: "a b" } });
  const words = async (...args: string[]) => {
    const { code, stdout, stderr } = await gpioagg(["complete-words", ...args]);
    assertEquals([code, stderr], [0, ""]);
    return stdout.split("\n").filter((word) => word !== "");
  };
  assertEquals(await words("chip"), ["gpiochip0"]);
  assertEquals(await words("line"), ["gpiochip0/", "LED"]);
  assertEquals(await words("line", "gpiochip0/"), [
    "gpiochip0/0",
    "gpiochip0/1",
    "gpiochip0/LED",
  ]);
  assertEquals(await words("line", "gpiochip7/"), []);
  assertEquals(await words("line-value", "L"), ["LED="]);
  assertEquals(await words("line-value", "LED="), ["LED=0", "LED=1"]);
  assertEquals(await words("spec", "LED,op"), ["LED,optional"]);
  assertEquals(await words("command", "ser"), ["serve"]);
  assertEquals(await words("kernel-chip"), []);
  assertEquals(await words("nothing"), []);
});

Deno.test("commands of services are for services, and take their sockets only", async () => {
  for (const command of ["serve-isolated", "serve-standby"]) {
    for (const args of [[], ["x"], ["99999"], ["0", "1"]]) {
      const { code, stderr } = await gpioagg([command, ...args]);
      assertEquals(code, 2);
      assertMatch(stderr, /internal command/);
    }
  }
});

Deno.test("kernel says what it lacks, and what is wrong with its arguments", async () => {
  using _it = rig();
  for (
    const [words, code] of [
      ["kernel", 2],
      ["kernel nothing", 2],
      ["kernel create", 2],
      ["kernel create --line", 2],
      ["kernel create a --line sim/1", 2],
      ["kernel remove", 2],
      ["kernel list --bogus", 2],
    ] as const
  ) {
    const result = await gpioagg(words.split(" "));
    assertEquals(result.code, code, `${words}: ${result.stderr}`);
  }
});

Deno.test("demo shows the main job on simulated lines", async () => {
  const { code, stdout } = await gpioagg(["demo"]);
  assertEquals(code, 0);
  assertMatch(stdout, /guest sets LAMP0=1 +host reads 1/);
  assertMatch(stdout, /guest: interrupt of line/);
});

Deno.test("demo --vm prepares its guest, then starts it at the socket", async () => {
  const RealCommand = Deno.Command;
  const started: string[] = [];
  const double = function (file: string, { args }: { args: string[] }) {
    started.push(`${file.split("/").at(-1)} ${args[0]}`);
    // What comes last fails: that is reported, and the lines are let go.
    const code = started.length < 3 ? 0 : 1;
    return { spawn: () => ({ status: Promise.resolve({ code }) }) };
  };
  Object.assign(Deno, { Command: double });
  try {
    const { code, stderr } = await gpioagg(["demo", "--vm"]);
    assertEquals(code, 1);
    assertMatch(stderr, /failed/);
    assertMatch(started[0]!, /^environment /);
  } finally {
    Object.assign(Deno, { Command: RealCommand });
  }
});
