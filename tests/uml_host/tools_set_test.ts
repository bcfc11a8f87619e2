/**
 * Behaviour of `gpioset` that libgpiod's does not have, or that is not seen
 * side by side: interactive sessions, the background, the state left behind.
 */
import { assert, assertEquals } from "@std/assert";
import {
  makeDirectory,
  removeDirectory,
  writeAttribute,
} from "../../ffi/sysfs.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { ChildProcess } from "../environment/process.ts";
import { simChip, until } from "./gpio_sim.ts";
import {
  ended,
  endHolders,
  holders,
  ready,
  Tools,
  twoChips,
} from "./tools_rig.ts";

const tools = await Tools.find();
const PROMPT = "gpioset> ";

Deno.test("gpioset --interactive takes commands from a pipe", async () => {
  await using chips = await twoChips();
  const args = ["-i", "foo=1", "baz=0", "with space=1"];
  const { code, stdout, stderr } = await tools.run("ours", "gpioset", args, {
    stdin: `get
 set foo=0 "with space"=off
get foo "with space"

toggle
get
sleep 10
set nope=1
bogus
toggle baz
get baz
exit
get
`,
  });
  assertEquals(stderr, "");
  assertEquals(
    stdout.split(PROMPT).slice(1),
    [
      '"foo"=active "baz"=inactive "with space"=active\n',
      "",
      '"foo"=inactive "with space"=inactive\n',
      "",
      "",
      '"foo"=active "baz"=active "with space"=active\n',
      "",
      "unknown line: 'nope'\n",
      "unknown command: 'bogus'\nTry the 'help' command\n",
      "",
      '"baz"=inactive\n',
      "",
    ],
  );
  assertEquals(code, 0);
  assertEquals(await chips.a.level(1), 0, "let go: the pull again");
});

Deno.test("gpioset --interactive sets lines at once and ends with its input", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  await using process = tools.start(
    "ours",
    "gpioset",
    ["--interactive", "--banner", "-c", a.name, "1=1", "bar=0"],
    { stdin: "" },
  );
  await ready(process);
  await process.waitFor(PROMPT);
  assertEquals([await a.level(1), await a.level(2)], [1, 0]);
  await process.write("set 1=0 bar=1\n");
  await until("the lines are set", async () => await a.level(2) === 1);
  assertEquals(await a.level(1), 0);
  await process.closeInput();
  assertEquals((await ended(process)).code, 0);
});

Deno.test("gpioset --interactive edits and completes lines on a terminal", async () => {
  await using chips = await twoChips();
  // script gives the program a terminal, and its own input and output to us.
  const command = `${
    tools.path("ours", "gpioset")
  } -i foo=0 'with space=1' && stty -a`;
  await using process = new ChildProcess({
    command: "script",
    args: ["-qec", command, "/dev/null"],
    input: true,
  });
  const type = async (keys: string, shown: string | RegExp) => {
    const from = process.stdout.length;
    await process.write(keys);
    await process.waitFor(shown, { from, timeoutMs: 120_000 });
  };
  await process.waitFor(PROMPT, { timeoutMs: 120_000 });
  await type("ge\t\r", '"foo"=inactive "with space"=active');
  await type("st\x1b[De\x05 f\ta\t\r", "set foo=active");
  await until("it is set", async () => await chips.a.level(1) === 1);
  await type('set "w\ti\t\x1b', 'set "with space"=inactive ');
  await type("[D\x05\r", PROMPT);
  // The next prompt too: before it, a control-D is for the terminal.
  await type(
    "\x1b[A\x1b[A\x1b[A\r",
    /"foo"=active "with space"=inactive[^]*gpioset> /,
  );
  await process.write("\x04");
  const { code } = await process.waitForExit();
  assertEquals(code, 0);
  // The terminal is as it was: it echoes, and takes whole lines.
  const settings = process.stdout.slice(process.stdout.lastIndexOf(PROMPT));
  assert(/(?<!-)\bicanon\b/.test(settings), settings);
  assert(/(?<!-)\becho\b/.test(settings), settings);
});

Deno.test("gpioset --interactive gives the terminal back when a signal ends it", async () => {
  await using _chips = await twoChips();
  const command = `${
    tools.path("ours", "gpioset")
  } -i foo=0; echo status $?; stty -a`;
  await using process = new ChildProcess({
    command: "script",
    args: ["-qec", command, "/dev/null"],
    input: true,
  });
  await process.waitFor(PROMPT, { timeoutMs: 120_000 });
  const [pid] = holders();
  Deno.kill(pid!, "SIGTERM");
  await process.waitFor(/status 143/, { timeoutMs: 120_000 });
  await process.waitFor(/(?<!-)\bicanon\b/);
});

Deno.test("gpioset --daemonize lets go of the terminal, not of the lines", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  const { code, stdout, stderr } = await tools.run("ours", "gpioset", [
    "-z",
    "--banner",
    "foo=1",
  ]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, "Setting line 'foo'...\n");
  assertEquals(await a.level(1), 1, "set when the command returns");
  const [pid, ...others] = holders();
  assertEquals(others, []);
  const stat = readSmallFile(`/proc/${pid}/stat`)!;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  assertEquals(Number(fields[3]), pid, "a session of its own");
  assertEquals(fields[4], "0", "no terminal");
  const info = await tools.run("ours", "gpioinfo", ["foo"]);
  assert(info.stdout.includes('output consumer="gpioset"'), info.stdout);
  assertEquals(await endHolders(), [pid]);
  await until("the line is let go", async () => await a.level(1) === 0);
});

Deno.test("gpioset --daemonize goes on toggling, on all chips", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const args = ["-z", "-t", "50,60", "foo=1", "baz=0"];
  assertEquals((await tools.run("ours", "gpioset", args)).code, 0);
  for (const level of [1, 0, 1, 0] as const) {
    await until(`foo is ${level}`, async () => await a.level(1) === level);
    await until(
      `baz is ${1 - level}`,
      async () => await b.level(0) === 1 - level,
    );
  }
  assertEquals((await endHolders()).length, 1);
});

Deno.test("gpioset --daemonize ends when its sequence does", async () => {
  await using _chips = await twoChips();
  const args = ["--daemonize", "--toggle=20,0", "foo=1"];
  assertEquals((await tools.run("ours", "gpioset", args)).code, 0);
  await until("the line is free", () => holders().length === 0);
});

/** A chip that keeps what its lines are set to when they are let go. */
async function keepingChip(): Promise<
  AsyncDisposable & {
    readonly name: string;
    level(offset: number): Promise<0 | 1>;
    pull(offset: number, direction: "up" | "down"): Promise<void>;
  }
> {
  const below = await simChip({ lines: 3, label: "below" });
  const top = "/sys/kernel/config/gpio-aggregator/tools-test";
  makeDirectory(top);
  for (const offset of [0, 1, 2]) {
    makeDirectory(`${top}/line${offset}`);
    writeAttribute(`${top}/line${offset}/key`, "below");
    writeAttribute(`${top}/line${offset}/offset`, `${offset}`);
  }
  writeAttribute(`${top}/live`, "1");
  const device = readSmallFile(`${top}/dev_name`)!.trim();
  let name = "";
  await until("the aggregator's chip is there", async () => {
    const { stdout } = await tools.run("reference", "gpiodetect", []);
    name = new RegExp(`^(gpiochip\\d+) \\[${device}\\]`, "m").exec(stdout)
      ?.[1] ?? "";
    return name !== "";
  });
  return {
    name,
    level: (offset) => below.level(offset),
    pull: (offset, direction) => below.pull(offset, direction),
    [Symbol.asyncDispose]: async () => {
      writeAttribute(`${top}/live`, "0");
      for (const offset of [0, 1, 2]) removeDirectory(`${top}/line${offset}`);
      removeDirectory(top);
      await below[Symbol.asyncDispose]();
    },
  };
}

Deno.test("gpioset --leave leaves the state that it names", async () => {
  await using chip = await keepingChip();
  const levels = async () => [
    await chip.level(0),
    await chip.level(1),
    await chip.level(2),
  ];
  const direction = async (offset: number) => {
    const args = ["-c", chip.name, `${offset}`];
    const { stdout } = await tools.run("reference", "gpioinfo", args);
    return stdout.trim().split("\t").at(-1);
  };
  const set = async (...args: string[]) => {
    const all = ["-c", chip.name, ...args];
    assertEquals((await tools.run("ours", "gpioset", all)).code, 0, `${args}`);
  };
  await set("-t0", "0=1", "1=0");
  assertEquals(await levels(), [1, 0, 0], "as they were last");
  await set("--leave", "1", "-t0", "0=0", "1=0");
  assertEquals(await levels(), [1, 1, 0]);
  await set("--leave", "previous", "-t", "5,0", "0=0", "1=0", "2=1");
  assertEquals(await levels(), [1, 1, 0]);
  assertEquals(await direction(2), "input");
  await set("-l", "--leave", "previous,1=off", "-t0", "0=1", "1=1");
  assertEquals(await levels(), [1, 1, 0]);
  await set("--leave", "input", "--leave", "1=inactive", "-t0", "0=1", "1=1");
  assertEquals([await direction(0), await direction(1)], ["input", "output"]);
  assertEquals((await levels())[1], 0);
});

Deno.test("gpioset --leave is done on signals too, and by the daemon", async () => {
  await using chip = await keepingChip();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    for (const more of [[], ["-t", "20"], ["-i"]]) {
      const args = ["--banner", "--leave", "1", "-c", chip.name, ...more];
      await using process = tools.start("ours", "gpioset", [...args, "0=0"], {
        stdin: "",
      });
      await ready(process);
      if (more[0] === "-i") await process.waitFor(PROMPT);
      process.kill(signal);
      const status = await process.waitForExit();
      assertEquals([status.signal, await chip.level(0)], [signal, 1]);
      await tools.run("reference", "gpioset", ["-t0", "-c", chip.name, "0=0"]);
      assertEquals(await chip.level(0), 0);
    }
  }
  const args = ["-z", "--leave", "on", "-c", chip.name, "0=0"];
  assertEquals((await tools.run("ours", "gpioset", args)).code, 0);
  const [pid] = holders().slice(-1);
  Deno.kill(pid!, "SIGTERM");
  await until("the line is left", async () => await chip.level(0) === 1);
});

Deno.test("gpioset --json tells what it sets", async () => {
  await using chips = await twoChips();
  const foo = { line: "foo", chip: chips.a.name, offset: 1 };
  const space = { line: "with space", chip: chips.b.name, offset: 1 };
  const { stdout } = await tools.run("ours", "gpioset", [
    "--json",
    "-t",
    "1,0",
    "foo=1",
    "with space=0",
  ]);
  assertEquals(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
    { ...foo, value: 1 },
    { ...space, value: 0 },
    { ...foo, value: 0 },
    { ...space, value: 1 },
  ]);
});

Deno.test("gpioset ends when its chip is unplugged, as libgpiod's does", async () => {
  const codes: number[] = [];
  for (
    const [side, ...options] of [
      ["reference"],
      ["ours"],
      ["ours", "--leave=0"],
      ["ours", "-t", "100ms"],
    ] as const
  ) {
    await using chip = await simChip({ lines: 4 });
    await using process = tools.start(side, "gpioset", [
      ...options,
      "--banner",
      "-c",
      chip.name,
      "0=1",
    ]);
    await ready(process);
    await chip.unplug();
    const { code, stderr } = await ended(process);
    codes.push(code);
    if (side === "ours") {
      assertEquals(
        stderr,
        "gpioset: the chip was removed, and the lines with it\n",
      );
    }
  }
  assertEquals(codes, [0, 0, 0, 0]);
});
