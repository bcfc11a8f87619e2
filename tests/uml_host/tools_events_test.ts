/**
 * libgpiod's gpiomon and gpionotify and ours, side by side: the same changes on
 * the same chips give the same output.
 */
import { assert, assertEquals } from "@std/assert";
import type { SimChip } from "../environment/gpio_sim.ts";
import { settle } from "./gpio_sim.ts";
import {
  comparable,
  ended,
  pulls,
  type Ran,
  ready,
  type Side,
  SIDES,
  Tools,
  twoChips,
  words,
} from "./tools_rig.ts";

const tools = await Tools.find();

/** Events while a tool watches. */
type Happening = () => Promise<void>;

/** Watches on one side until it is enough, or until it is ended. */
async function watch(
  side: Side,
  tool: string,
  args: readonly string[],
  happening: Happening,
  env: Readonly<Record<string, string>>,
): Promise<Ran> {
  await using process = tools.start(side, tool, ["--banner", ...args], { env });
  await ready(process);
  await happening();
  await settle();
  process.kill("SIGTERM");
  return await ended(process);
}

/** Watches on both sides, one after the other, and compares. */
async function sameWatch(
  tool: string,
  args: readonly string[],
  happening: Happening,
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const reference = await watch("reference", tool, args, happening, env);
  const ours = await watch("ours", tool, args, happening, env);
  assertEquals(comparable(ours), comparable(reference), words(tool, args));
  return ours;
}

/** A pulse on a line: one rising edge, one falling edge. */
const pulse = (chip: SimChip, offset: number) => () =>
  pulls(chip, [offset, "up"], [offset, "down"]);

Deno.test("gpiomon prints edges as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const happening = async () => {
    await pulse(a, 1)();
    await pulse(b, 0)();
    await pulse(a, 2)();
  };
  for (
    const args of [
      ["foo"],
      ["foo", "baz", "bar"],
      ["--unquoted", "foo"],
      ["-c", a.name, "1", "2"],
      ["--chip", a.path, "foo", "2", "0"],
      ["-c", a.name, "--by-name", "4", "foo"],
      ["-e", "rising", "foo"],
      ["--edges=falling", "foo", "baz"],
      ["-e", "both", "-l", "foo"],
      ["--active-low", "-erising", "foo"],
      ["-q", "foo"],
      ["--quiet", "--num-events=5", "foo"],
      ["-s", "bar"],
      ["--strict", "bar"],
      ["-C", "someone", "foo"],
      ["-n", "1", "foo"],
      ["--num-events", "3", "foo", "baz"],
    ]
  ) await sameWatch("gpiomon", args, happening);
});

Deno.test("gpiomon asks for the same settings as libgpiod's does", async () => {
  await using _chips = await twoChips();
  for (
    const args of [
      ["-b", "pull-up", "foo"],
      ["--bias=pull-down", "-l", "foo"],
      ["-b", "disabled", "-e", "rising", "foo"],
      ["-p", "10ms", "foo", "bar"],
      ["--debounce-period", "123us", "--consumer", "some one", "foo"],
      ["-E", "realtime", "foo"],
      ["--event-clock=monotonic", "--utc", "foo"],
      ["--utc", "foo"],
      ["--localtime", "foo"],
      ["-F", "%U", "foo"],
    ]
  ) {
    const seen = [];
    for (const side of SIDES) {
      await using process = tools.start(side, "gpiomon", ["--banner", ...args]);
      await ready(process);
      seen.push(await tools.run("reference", "gpioinfo", []));
    }
    assertEquals(seen[1], seen[0], words("gpiomon", args));
  }
});

Deno.test("gpiomon stamps and formats events as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  const happening = async () => {
    await pulse(a, 1)();
    await pulse(a, 0)();
  };
  const formats = [
    "%e %o %E %c %l %S",
    "%U|%L",
    "%e%o",
    "start%%end",
    "%%e",
    "%",
    "foo % bar",
    "%x",
    "%x%y%",
    "%%%",
    "%5o%o",
    "",
    "a\\tb\\n",
    "%a %C",
  ];
  for (const format of formats) {
    await sameWatch(
      "gpiomon",
      [`--format=${format}`, "-c", a.name, "1", "0"],
      happening,
    );
  }
  for (
    const args of [
      ["-E", "realtime", "foo"],
      ["--localtime", "foo"],
      ["--utc", "-E", "monotonic", "foo"],
      ["--utc", "--localtime", "foo"],
      ["-F", "%S %U %L", "--event-clock", "realtime", "foo"],
    ]
  ) {
    await sameWatch("gpiomon", args, happening, {
      TZ: "CET-1CEST,M3.5.0,M10.5.0/3",
    });
  }
});

Deno.test("gpiomon's wall clock and local time are right", async () => {
  await using chips = await twoChips();
  const before = Date.now();
  const { stdout } = await watch(
    "ours",
    "gpiomon",
    ["-E", "realtime", "-F", "%S %U %L", "-n", "1", "foo"],
    pulse(chips.a, 1),
    { TZ: "UTC-2" },
  );
  const [seconds, utc, local] = stdout.split("\n")[1]!.split(" ");
  const ms = Math.floor(Number(seconds) * 1000);
  assert(ms >= before - 1 && ms <= Date.now(), stdout);
  assertEquals(Math.floor(Date.parse(utc!)), ms);
  assertEquals(Date.parse(`${local}Z`) - ms, 2 * 3600_000);
});

Deno.test("gpiomon ends and refuses as libgpiod's does", async () => {
  await using chips = await twoChips();
  for (
    const args of [
      [],
      ["-c", chips.a.name],
      ["--idle-timeout", "10ms", "foo"],
      ["--banner", "--idle-timeout=10", "foo", "baz"],
      ["-n", "0", "--idle-timeout", "10", "foo"],
      ["-E", "hte", "foo"],
      ["-E", "bad", "foo"],
      ["-e", "bad", "foo"],
      ["-b", "bad", "foo"],
      ["-p", "bad", "foo"],
      ["-p", "5000s", "foo"],
      ["--idle-timeout", "bad", "foo"],
      ["-n", "bad", "foo"],
      ["-n", "-1", "foo"],
      ["-n", "2147483648", "foo"],
      ["nope", "foo", "foo"],
      ["-c", chips.a.name, "9"],
      ["-s", "foo"],
      ["-F"],
      ["-c", chips.a.name, "7"],
    ]
  ) await tools.same("gpiomon", args);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    await using process = tools.start("ours", "gpiomon", ["--banner", "foo"]);
    await ready(process);
    process.kill(signal);
    assertEquals((await process.waitForExit()).signal, signal);
  }
});

/** Uses lines as another program would. */
function uses(...commands: readonly (readonly [string, ...string[]])[]) {
  return async () => {
    for (const [tool, ...args] of commands) {
      await tools.run("reference", tool, args);
    }
  };
}

Deno.test("gpionotify prints events as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  const happening = uses(
    ["gpioget", "foo", "baz"],
    ["gpioset", "-t0", "-C", "some one", "-l", "-dopen-drain", "foo=1"],
    ["gpiomon", "--idle-timeout=1", "-p", "1s", "-e", "rising", "foo", "bar"],
    ["gpioget", "-c", a.name, "-b", "pull-up", "0"],
    ["gpioget", "-C", "", "foo"],
  );
  for (
    const args of [
      ["foo"],
      ["foo", "bar"],
      ["--unquoted", "foo"],
      ["-c", a.name, "0", "foo"],
      ["--chip", a.path, "--by-name", "4", "foo"],
      ["-e", "requested", "foo"],
      ["--event=released", "foo"],
      ["-e", "reconfigured", "foo"],
      ["-e", "requested", "-e", "released", "foo"],
      ["-q", "foo"],
      ["--quiet", "--num-events", "1", "foo"],
      ["-n", "3", "foo"],
      ["-n2", "-e", "released", "foo"],
      ["-s", "bar"],
      ["--strict", "--utc", "bar"],
      ["--localtime", "foo"],
      ["--utc", "foo"],
      ["-F", "%e %o %E %c %l|%a|%C|%S", "-c", a.name, "1", "0"],
      ["--format=%U %L %a %%x %x%", "--unquoted", "foo"],
    ]
  ) await sameWatch("gpionotify", args, happening);
});

Deno.test("gpionotify's wall clock is right", async () => {
  await using _chips = await twoChips();
  const before = Date.now();
  const { stdout } = await watch(
    "ours",
    "gpionotify",
    ["-n", "1", "--utc", "foo"],
    uses(["gpioget", "foo"]),
    {},
  );
  const [stamp] = stdout.split("\n")[1]!.split("\t");
  const ms = Date.parse(stamp!);
  assert(ms >= before - 1 && ms <= Date.now(), stdout);
});

Deno.test("gpionotify sees lines being reconfigured", async () => {
  await using chips = await twoChips();
  const { stdout } = await watch(
    "ours",
    "gpionotify",
    ["-n", "2", "-e", "reconfigured", "-F", "%E %e %l %a", "foo"],
    async () => {
      // It looks how the line is, makes it an output, and an input in the end.
      await tools.run("ours", "gpioset", [
        "--leave",
        "previous",
        "-t0",
        "foo=1",
      ]);
    },
    {},
  );
  assertEquals(stdout.split("\n").slice(1), [
    'reconfigured 3 foo output consumer="gpioset"',
    'reconfigured 3 foo input consumer="gpioset"',
    "",
  ]);
  assertEquals(await chips.a.level(1), 0);
});

Deno.test("gpionotify ends and refuses as libgpiod's does", async () => {
  await using chips = await twoChips();
  for (
    const args of [
      [],
      ["-c", chips.a.name],
      ["--idle-timeout", "10ms", "foo"],
      ["--banner", "--idle-timeout=10", "foo", "bar", "baz"],
      ["--idle-timeout", "bad", "foo"],
      ["-n", "bad", "foo"],
      ["nope", "foo", "foo"],
      ["-c", chips.a.name, "9"],
      ["-s", "foo"],
      ["--bogus"],
    ]
  ) await tools.same("gpionotify", args);
});

Deno.test("every option of libgpiod's gpiomon and gpionotify was compared", async () => {
  await tools.assertAllCompared("gpiomon");
  await tools.assertAllCompared("gpionotify");
});
