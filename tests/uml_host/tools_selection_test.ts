/**
 * Search of our tools for lines beyond what libgpiod's do, their JSON, and
 * their messages to users without rights.
 */
import { assert, assertEquals } from "@std/assert";
import { O_PATH, openFile } from "../../ffi/files.ts";
import { changeMode } from "../../ffi/directory.ts";
import { ChildProcess } from "../environment/process.ts";
import { simChip } from "./gpio_sim.ts";
import { ready, Tools, twoChips } from "./tools_rig.ts";
import { LAUNCHER } from "../environment/program.ts";

const tools = await Tools.find();

async function ours(tool: string, ...args: string[]) {
  return await tools.run("ours", tool, args);
}

function parseJson(text: string): unknown[] {
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

Deno.test("Lines are found as CHIP/OFFSETS, by number, name, path, link or label", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const link = `${await Deno.makeTempDir()}/link`;
  await Deno.symlink(b.path, link);
  await b.pull(1, "up");
  for (
    const chip of [
      b.name,
      b.name.slice("gpiochip".length),
      b.path,
      link,
      "label-of-b",
    ]
  ) {
    const { stdout, stderr } = await ours("gpioget", `${chip}/1-2`, "bar");
    assertEquals(
      [stdout, stderr],
      [`"${chip}/1"=active "${chip}/2"=inactive "bar"=inactive\n`, ""],
    );
  }
  assertEquals(
    (await ours("gpioget", "-c", "label-of-b", "--numeric", "1")).stdout,
    "1\n",
  );
  assertEquals(
    (await ours("gpiodetect", "label-of-b")).stdout,
    `${b.name} [label-of-b] (4 lines)\n`,
  );
  const info = await ours("gpioinfo", "label-of-b/0,3", `${a.name}/4`);
  assertEquals(info.stdout.replaceAll(/ +/g, " ").split("\n"), [
    `${a.name} 4\tunnamed \tinput`,
    `${b.name} 0\t"baz" \tinput`,
    `${b.name} 3\t"foo" \tinput`,
    "",
  ]);
});

Deno.test("Chips are found by what they are known by for good", async () => {
  await using chips = await twoChips();
  await using _twin = await simChip({ lines: 1, label: "label-of-b" });
  const { b } = chips;
  await b.pull(3, "up");
  for (const line of ["3", "foo"]) {
    const id = `label:label-of-b+lines:4/${line}`;
    const { stdout, stderr } = await ours("gpioget", id);
    assertEquals([stdout, stderr], [`"${id}"=active\n`, ""]);
  }
  assertEquals(
    (await ours("gpioget", `${b.name}/foo`, "-c", "x")).stderr,
    "gpioget: cannot find line '-c'\ngpioget: cannot find line 'x'\n",
  );
  assertEquals(
    (await ours("gpioget", "-c", `path:${b.path}`, "foo")).stdout,
    '"foo"=active\n',
  );
  const two = await ours("gpioget", "label:label-of-b/0");
  assert(/there are 2: gpiochip\d+ \(.*lines:4/.test(two.stderr), two.stderr);
  const none = await ours("gpiodetect", "usb-serial:FT123");
  assertEquals(
    none.stderr,
    "gpiodetect: cannot find GPIO chip character device 'usb-serial:FT123'\n",
  );
  const wrong = await ours("gpiodetect", "i2c:nowhere");
  assert(wrong.stderr.includes("such as 1-0020"), wrong.stderr);
});

Deno.test("CHIP/OFFSETS is set, watched and told of like other lines", async () => {
  await using chips = await twoChips();
  const { b } = chips;
  await using setter = tools.start("ours", "gpioset", [
    "--banner",
    "label-of-b/0-2=1",
    "foo=1",
  ]);
  await ready(setter);
  assertEquals(
    [await b.level(0), await b.level(1), await b.level(2), await b.level(3)],
    [1, 1, 1, 0],
  );
  const busy = await ours("gpioget", "label-of-b/1", "label-of-b/3");
  assert(busy.stderr.includes("'label-of-b/1' is held by"), busy.stderr);
  await using watcher = tools.start("ours", "gpiomon", [
    "--banner",
    "label-of-b/3",
  ]);
  await ready(watcher);
  await b.pull(3, "up");
  await watcher.waitFor(new RegExp(`\trising\t${b.name} 3 "foo"\n`));
});

Deno.test("What is no line is said to be none, whole or in part", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  const complaint = async (...args: string[]) => {
    const { code, stdout, stderr } = await ours("gpioget", ...args);
    assertEquals([code, stdout], [1, ""], args.join(" "));
    return stderr.trim().split("\n");
  };
  assertEquals(await complaint("label-of-b/2-9"), [
    "gpioget: offset 9 is out of range on chip 'label-of-b'",
  ]);
  assertEquals(await complaint("no-such-label/1"), [
    "gpioget: cannot find line 'no-such-label/1'",
  ]);
  assertEquals(await complaint("--by-name", "label-of-b/1"), [
    "gpioget: cannot find line 'label-of-b/1'",
  ]);
  assertEquals(await complaint("-c", a.name, "label-of-b/1"), [
    "gpioget: cannot find line 'label-of-b/1'",
  ]);
  assertEquals(await complaint("label-of-b/1-2", "with space"), [
    "gpioget: lines 'label-of-b/1' and 'with space' are the same line",
  ]);
  assertEquals(await complaint("-c", a.name, ""), [
    "gpioget: cannot find line ''",
  ]);
  assertEquals(await complaint(""), ["gpioget: cannot find line ''"]);
});

Deno.test("A label that two chips have is not guessed at", async () => {
  await using _chips = await twoChips();
  await using _twin = await simChip({ lines: 1, label: "label-of-b" });
  const { code, stderr } = await ours("gpioget", "-c", "label-of-b", "0");
  assertEquals(code, 1);
  assert(/label.*gpiochip\d+ and gpiochip\d+/.test(stderr), stderr);
});

Deno.test("More lines of a chip than one request takes are no matter", async () => {
  await using chip = await simChip({ lines: 150 });
  await chip.pull(149, "up");
  const all = Array.from({ length: 150 }, (_, offset) => `${offset}`);
  const values = await ours("gpioget", "-c", chip.name, "--numeric", ...all);
  assertEquals(
    values.stdout.trim().split(" "),
    all.map((offset) => offset === "149" ? "1" : "0"),
  );
  await using watcher = tools.start("ours", "gpiomon", [
    "--banner",
    "-F",
    "%o",
    `${chip.name}/0-149`,
  ]);
  await ready(watcher);
  for (const offset of [140, 3, 70]) {
    await chip.pull(offset, "up");
    await watcher.waitFor(new RegExp(`^${offset}\n`, "m"));
  }
});

Deno.test("gpioinfo quotes consumers of nameless lines, as libgpiod 2.3 does", async () => {
  await using chip = await simChip({ lines: 1, hogs: { 0: "a hog" } });
  const { stdout } = await ours("gpioinfo", "-c", chip.name, "0");
  assertEquals(
    stdout,
    `${chip.name} 0\tunnamed         \tinput consumer="a hog"\n`,
  );
});

Deno.test("gpiomon prints first values, as libgpiod 2.3 does", async () => {
  await using chips = await twoChips();
  await chips.a.pull(1, "up");
  const first = async (...args: string[]) =>
    (await ours("gpiomon", ...args, "--idle-timeout", "1", "foo", "baz"))
      .stdout;
  assertEquals(await first("-I"), '"foo"=active "baz"=inactive\n');
  assertEquals(await first("--initial-state", "-N"), "1 0\n");
  assertEquals(
    await first("-Il", "--unquoted"),
    "foo=inactive baz=active\n",
  );
  assertEquals(
    await first("-Iq", "--banner", "--numeric"),
    "1 0\nMonitoring lines 'foo', and 'baz'...\n",
  );
});

Deno.test("Every tool speaks JSON, one object a line", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await a.pull(1, "up");
  assertEquals(parseJson((await ours("gpiodetect", "--json")).stdout), [
    {
      chip: a.name,
      path: a.path,
      label: jsonLabel(await ours("gpiodetect", a.name)),
      lines: 8,
    },
    { chip: b.name, path: b.path, label: "label-of-b", lines: 4 },
  ]);
  assertEquals(
    parseJson((await ours("gpioget", "--json", "foo", `${b.name}/2`)).stdout),
    [
      { line: "foo", chip: a.name, offset: 1, name: "foo", value: 1 },
      { line: `${b.name}/2`, chip: b.name, offset: 2, name: null, value: 0 },
    ],
  );
  const usual = {
    direction: "input",
    activeLow: false,
    bias: "as-is",
    drive: "push-pull",
    edges: "none",
    eventClock: "monotonic",
    debouncePeriodUs: 0,
  };
  assertEquals(
    parseJson((await ours("gpioinfo", "--json", "taken", "bar")).stdout),
    [
      {
        chip: a.name,
        offset: 2,
        name: "bar",
        used: false,
        consumer: null,
        ...usual,
      },
      {
        chip: a.name,
        offset: 7,
        name: "taken",
        used: true,
        consumer: "hog",
        ...usual,
      },
    ],
  );
  assertEquals(
    parseJson((await ours("gpioinfo", "--json", "-c", b.name)).stdout).length,
    4,
  );
  await using watcher = tools.start("ours", "gpionotify", [
    "--json",
    "--banner",
    "foo",
  ]);
  await watcher.waitFor('{"event":"ready","lines":["foo"]}\n', {
    timeoutMs: 120_000,
  });
  await using monitor = tools.start("ours", "gpiomon", [
    "--json",
    "-I",
    "-n1",
    "foo",
  ]);
  await monitor.waitFor(/"initial".*\n/, { timeoutMs: 120_000 });
  await a.pull(1, "down");
  await monitor.waitForExit();
  const place = { line: "foo", chip: a.name, offset: 1, name: "foo" };
  const [initial, edge] = parseJson(monitor.stdout) as [
    unknown,
    { timestampNs: number },
  ];
  assertEquals(initial, { event: "initial", ...place, value: 1 });
  assert(edge.timestampNs > 0);
  assertEquals(edge, {
    event: "falling",
    timestampNs: edge.timestampNs,
    ...place,
    value: 0,
    seqno: 1,
    lineSeqno: 1,
  });
  await watcher.waitFor(/"released".*\n/);
  const [, requested, released] = parseJson(watcher.stdout) as {
    timestampNs: number;
  }[];
  assertEquals(requested, {
    event: "requested",
    timestampNs: requested!.timestampNs,
    ...place,
    used: true,
    consumer: "gpiomon",
    ...usual,
    edges: "both",
  });
  assertEquals(released, {
    event: "released",
    timestampNs: released!.timestampNs,
    ...place,
    used: false,
    consumer: null,
    ...usual,
  });
});

function jsonLabel({ stdout }: { stdout: string }): string {
  return /\[(.*)\]/.exec(stdout)![1]!;
}

Deno.test("gpioagg's own commands are the same tools", async () => {
  await using _chips = await twoChips();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(
      LAUNCHER,
      { args },
    ).output();
    const decoder = new TextDecoder();
    return [code, decoder.decode(stdout), decoder.decode(stderr)];
  };
  assertEquals(await run("get", "foo"), [0, '"foo"=inactive\n', ""]);
  assertEquals(await run("set", "nope=1"), [
    1,
    "",
    "gpioagg set: cannot find line 'nope'\n",
  ]);
  await using setter = new ChildProcess({
    command: LAUNCHER,
    args: ["set", "--banner", "foo=1"],
  });
  await ready(setter);
  const { stdout } = await ours("gpioinfo", "foo");
  assert(stdout.includes('consumer="gpioagg-set"'), stdout);
});

Deno.test("Users without rights are told which chips they may not open", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  using node = openFile(a.path, O_PATH);
  changeMode(node, 0);
  // Root without the capability obeys the permission bits like anybody.
  const powerless = async (tool: string, ...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("setpriv", {
      args: [
        "--bounding-set=-dac_override,-dac_read_search",
        tools.path("ours", tool),
        ...args,
      ],
    }).output();
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  };
  const denied = `unable to open chip '${a.path}': Permission denied`;
  assertEquals(await powerless("gpiodetect"), {
    code: 1,
    stdout: `${b.name} [label-of-b] (4 lines)\n`,
    stderr: `gpiodetect: ${denied}\n`,
  });
  assertEquals(await powerless("gpioget", "baz"), {
    code: 0,
    stdout: '"baz"=inactive\n',
    stderr: "",
  });
  assertEquals(await powerless("gpioget", "bar"), {
    code: 1,
    stdout: "",
    stderr: `gpioget: ${denied}\ngpioget: cannot find line 'bar'\n`,
  });
  assertEquals(await powerless("gpioset", "-c", a.name, "1=1"), {
    code: 1,
    stdout: "",
    stderr: `gpioset: ${denied}\n`,
  });
  assertEquals(await powerless("gpioinfo", "foo"), {
    code: 1,
    stdout: `${b.name} 3\t"foo"           \tinput\n`,
    stderr: `gpioinfo: ${denied}\n`,
  });
});
