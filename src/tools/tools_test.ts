/** The six tools on chips of the kernel double: what they print and drive. */
import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { duplicate } from "../../ffi/files.ts";
import { receiveBytes } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import { run } from "../cli/main.ts";
import { captured, gpioagg } from "../../tests/doubles/program/captured.ts";
import { openChip } from "../gpio/mod.ts";
import { ToolError } from "./program/tool_error.ts";
import { takeOver } from "./set/daemon.ts";

/** Two chips: named lines, a line that the kernel holds, a name twice. */
function rig() {
  const kernel = GpioKernel.install();
  const soc = kernel.addChip({
    lines: 4,
    label: "soc",
    names: { 0: "LED", 1: "KEY", 3: "dup" },
    hogs: { 2: "hog" },
  });
  kernel.addChip({ lines: 2, label: "ext", names: { 0: "dup" } });
  soc.pull(1, "up");
  return {
    soc,
    kernel,
    /** Standard output of a command line that succeeds. */
    out: async (words: string, onBanner?: () => void) => {
      let isTold = false;
      const { code, stdout, stderr } = await gpioagg(words.split(" "), {
        // The tool watches once it has printed its banner.
        onOutput: () => {
          if (isTold) return;
          isTold = true;
          onBanner?.();
        },
      });
      assertEquals([code, stderr], [0, ""], words);
      return stdout;
    },
    /** Standard error of one that fails. */
    refused: async (words: string) => {
      const { code, stdout, stderr } = await gpioagg(words.split(" "));
      assertEquals([code, stdout], [1, ""], words);
      return stderr.replace(/^gpioagg \w+: /, "").trimEnd();
    },
    [Symbol.dispose]: () => kernel[Symbol.dispose](),
  };
}

Deno.test("detect lists chips, and says which is not there", async () => {
  using it = rig();
  assertEquals(
    await it.out("detect"),
    "gpiochip0 [soc] (4 lines)\ngpiochip1 [ext] (2 lines)\n",
  );
  assertEquals(
    JSON.parse(await it.out("detect --json soc")),
    { chip: "gpiochip0", path: "/dev/gpiochip0", label: "soc", lines: 4 },
  );
  assertEquals(
    await it.refused("detect nope"),
    "cannot find GPIO chip character device 'nope'",
  );
});

Deno.test("info shows chips, lines and identities", async () => {
  using it = rig();
  const all = await it.out("info");
  assertMatch(all, /line {3}2:\tunnamed {9}\tinput consumer="hog"\n/);
  assertEquals(
    await it.out("info LED dup"),
    'gpiochip0 0\t"LED"           \tinput\n' +
      'gpiochip0 3\t"dup"           \tinput\n',
  );
  assertEquals(JSON.parse(await it.out("info --json LED")).consumer, null);
  assertMatch(
    await it.out("info --ids"),
    /\tdevice:\/devices\/platform\/gpio-sim.0\n\tlabel:soc\n\tlines:4\n/,
  );
  assertMatch(await it.out("info --ids --json"), /"id":"label:ext"/);
  assertEquals(await it.refused("info nope"), "cannot find line 'nope'");
});

Deno.test("what is not there is followed by what was probably meant, but for libgpiod's names", async () => {
  using it = rig();
  const cases: readonly (readonly [string, string, string])[] = [
    ["get LEDD", "line 'LEDD'", "LED"],
    ["get led", "line 'led'", "LED"],
    ["get -c soc KYE", "line 'KYE'", "KEY"],
    ["info soc/LEDD", "line 'soc/LEDD'", "soc/LED"],
    ["set socc/0=1", "line 'socc/0'", "soc/0"],
    ["mon -c sock KEY", "GPIO chip character device 'sock'", "soc"],
    ["notify KEYY", "line 'KEYY'", "KEY"],
    ["detect ex", "GPIO chip character device 'ex'", "ext"],
  ];
  for (const [words, absent, meant] of cases) {
    const [tool] = words.split(" ");
    assertEquals(
      await it.refused(words),
      `cannot find ${absent}\ngpioagg ${tool}: did you mean '${meant}'?`,
    );
  }
  const { code, stderr } = await captured(() => run(["LEDD"], "gpioget"));
  assertEquals([code, stderr], [1, "gpioget: cannot find line 'LEDD'\n"]);
});

Deno.test("a line's name with escapes is printed as it is, and that is taken again", async () => {
  using kernel = GpioKernel.install();
  kernel.addChip({ lines: 1, label: "a,b", names: { 0: "x,y\\z/1" } });
  for (const word of ["a\\,b/x\\,y\\z\\/1", "a,b/x,y\\z/1"]) {
    const { stdout, stderr } = await gpioagg(["get", word]);
    assertEquals([stdout, stderr], ['"a,b/x,y\\z/1"=inactive\n', ""]);
  }
});

Deno.test("get reads lines in every format, and lets them go", async () => {
  using it = rig();
  assertEquals(await it.out("get LED KEY"), '"LED"=inactive "KEY"=active\n');
  assertEquals(await it.out("get --numeric --chip soc 1"), "1\n");
  assertEquals(await it.out("get --as-is --unquoted KEY"), "KEY=active\n");
  assertEquals(
    await it.out("get -l -b pull-up -p 1ms KEY"),
    '"KEY"=inactive\n',
  );
  assertEquals(JSON.parse(await it.out("get --json KEY")).value, 1);
  assertEquals(it.soc.consumer(1), undefined);
});

Deno.test("get says what it cannot read", async () => {
  using it = rig();
  assertEquals(await it.refused("get -s dup"), "line 'dup' is not unique");
  assertEquals(
    await it.refused("get --chip soc 2"),
    "unable to request lines on chip '/dev/gpiochip0': Device or resource " +
      "busy, '2' is held by \"hog\"",
  );
  assertEquals(
    await it.refused("get --as-is --bias pull-up KEY"),
    "can't combine as-is with bias",
  );
});

Deno.test("set drives lines, toggles them, and says so as JSON", async () => {
  using it = rig();
  await it.out("set -t 1ms,0 LED=1");
  const told = await it.out("set --json --banner -t 1us,1us,0 LED=0");
  const [banner, ...values] = told.trimEnd().split("\n");
  assertEquals(banner, "Setting line 'LED'...");
  assertEquals(values.map((row) => JSON.parse(row).value), [0, 1, 0]);
});

Deno.test("set goes on toggling when the kernel refuses, and fails at the end", async () => {
  using it = rig();
  for (const how of ["", "--leave as-is "]) {
    for (const times of [1, 2]) {
      it.kernel.refuse("GPIO_V2_LINE_SET_VALUES_IOCTL", 121, times);
      const { code, stderr } = await gpioagg(
        `set ${how}-t 1us,1us,1us,0 LED=1`.split(" "),
      );
      it.kernel.accept();
      assertEquals(
        [code, stderr.match(/unable to set values.*Remote I\/O/g)?.length],
        [1, times],
        stderr,
      );
    }
  }
});

Deno.test("set leaves lines behind as it is told", async () => {
  using it = rig();
  const left: string[] = [];
  for (const state of ["1", "previous", "input", "as-is,LED=0"]) {
    await it.out(`set --leave ${state} -t 1us,0 LED=1`);
    using chip = openChip("soc");
    left.push(chip.lineInfo(0).direction);
  }
  assertEquals(left, ["output", "output", "input", "output"]);
});

Deno.test("set --interactive runs what it reads, in whatever pieces", async () => {
  using _it = rig();
  const { code, stdout, stderr } = await gpioagg(
    ["set", "--interactive", "LED=0"],
    {
      input: ["get\nset LED=1\nget L", "ED\ntoggle\nsleep 1us\nwhat\n", "exit"],
    },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(
    stdout.split("gpioset> ").slice(1).map((text) => text.split("\n", 1)[0]),
    [
      '"LED"=inactive',
      "",
      '"LED"=active',
      "",
      "",
      "unknown command: 'what'",
      "",
    ],
  );
});

Deno.test("set --interactive edits lines of a terminal", async () => {
  using _it = rig();
  const { code, stdout } = await gpioagg(["set", "-i", "LED=0"], {
    input: ["gex\x7ft\r", "exit\r"],
    isTerminal: true,
  });
  assertEquals(code, 0);
  assertMatch(stdout, /"LED"=inactive/);
});

Deno.test("set takes over lines that another process passes", () => {
  using it = rig();
  using chip = openChip("soc");
  const request = chip.requestLines({
    lines: [{ offset: 0, settings: { direction: "output", outputValue: 1 } }],
  });
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using stack = new DisposableStack();
  const held = JSON.stringify({
    socket: theirs.release(),
    ids: ["LED"],
    values: [1],
    before: [],
    requests: [{
      fd: duplicate(request.fd).release(),
      chip: chip.name,
      path: chip.path,
      offsets: [0],
      indices: [0],
    }],
  });
  const { outputs } = takeOver(
    held,
    (outputValue) => ({ direction: "output", outputValue }),
    stack,
  );
  request.close();
  assertEquals(receiveBytes(ours.fd, new Uint8Array(1)), 1);
  outputs.toggle();
  assertEquals([it.soc.level(0), it.soc.consumer(0)], [0, "gpioagg"]);
  stack.dispose();
  assertEquals(it.soc.consumer(0), undefined);
  assertThrows(
    () => takeOver("{", () => ({}), stack),
    ToolError,
    "no lines were received",
  );
});

Deno.test("mon --utc converts times of a kernel without a realtime clock", async () => {
  using it = rig();
  const before = Date.now();
  // Linux 5.10 does not know the flag of the clock.
  it.kernel.refuse("GPIO_V2_GET_LINE_IOCTL", 22);
  const told = await it.out("mon --utc --banner -n 1 KEY", () => {
    it.soc.pull(1, "down");
  });
  const [, time] = /^(\S+Z)\s/m.exec(told) ?? [];
  const at = Date.parse(time ?? "");
  // A monotonic time, unconverted, would be one of 1970.
  assertEquals(at >= before - 1000 && at <= Date.now() + 1000, true, told);
});

Deno.test("mon dumps edges to a file for viewers of waves", async () => {
  using it = rig();
  const path = await Deno.makeTempFile();
  try {
    const pulse = () => {
      it.soc.pull(1, "down");
      it.soc.pull(1, "up");
    };
    await it.out(`mon --vcd ${path} --banner -n 2 KEY`, pulse);
    const dump = await Deno.readTextFile(path);
    assertMatch(dump, /\$var wire 1 \S+ KEY \$end/);
    assertMatch(dump, /\n#\d+\n0\S+\n#\d+\n1\S+\n/);
    assertMatch(
      await it.refused(`mon --vcd /no/such/file -n 1 KEY`),
      /^unable to open/,
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("set refuses what contradicts itself", async () => {
  using it = rig();
  assertEquals(
    await it.refused("set LED"),
    "invalid line value: 'LED'",
  );
  for (const words of ["-i -z LED=1", "-i -t 1s LED=1"]) {
    assertMatch(
      await it.refused(`set ${words}`),
      /^can't combine interactive with/,
    );
  }
});

Deno.test("mon prints edges as they are asked for", async () => {
  using it = rig();
  const pulse = () => {
    it.soc.pull(1, "down");
    it.soc.pull(1, "up");
  };
  assertMatch(
    await it.out("mon --banner -n 2 KEY", pulse),
    /^Monitoring line 'KEY'...\n\d+\.\d{9}\tfalling\t"KEY"\n.*\trising\t"KEY"\n$/,
  );
  const [ready, edge] =
    (await it.out("mon --banner --json -n 1 -e rising KEY", pulse))
      .trimEnd().split("\n").map((row) => JSON.parse(row));
  assertEquals(ready, { event: "ready", lines: ["KEY"] });
  assertEquals([edge.event, edge.offset, edge.seqno], ["rising", 1, 1]);
  assertEquals(
    (await it.out("mon --banner -F %E_%l_%o_%c_%e -n 1 KEY", pulse)).split(
      "\n",
    )[1],
    "falling_KEY_1_gpiochip0_2",
  );
  assertMatch(
    await it.out("mon --banner --utc -n 1 KEY", pulse),
    /\n\d{4}-\d\d-\d\dT[\d:.]+Z\tfalling/,
  );
  assertEquals(await it.out("mon --idle-timeout 1ms KEY"), "");
});

Deno.test("notify prints who requests a line, and releases it", async () => {
  using it = rig();
  const use = () => {
    using chip = openChip("soc");
    const lines = [{ offset: 0, settings: { direction: "output" } }] as const;
    chip.requestLines({ consumer: "me", lines }).close();
  };
  assertMatch(
    await it.out("notify --banner -n 2 LED", use),
    /^Watching line 'LED'...\n\d+\.\d{9}\trequested\t"LED"\n.*\treleased\t"LED"\n$/,
  );
  const json = await it.out("notify --banner --json -n 1 LED", use);
  assertEquals(JSON.parse(json.trimEnd().split("\n")[1]!).consumer, "me");
  assertEquals(
    (await it.out(
      "notify --banner -e released -F %E_%l_%o_%c_%e_%C -n 1 LED",
      use,
    ))
      .split("\n")[1],
    "released_LED_0_gpiochip0_2_unused",
  );
  assertEquals(
    await it.refused("notify --json -F x LED"),
    "can't combine json with format",
  );
});

Deno.test("every tool has a help and a version", async () => {
  using it = rig();
  for (const tool of ["detect", "info", "get", "set", "mon", "notify"]) {
    assertMatch(await it.out(`${tool} --help`), /^Usage: gpioagg /);
    assertMatch(await it.out(`${tool} --version`), /compatible with libgpiod/);
  }
});
