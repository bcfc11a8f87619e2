/**
 * libgpiod's tools and ours, side by side: the same command line on the same
 * chips gives the same output, the same messages and the same exit status.
 */
import { assert, assertEquals } from "@std/assert";
import { until } from "./gpio_sim.ts";
import {
  comparable,
  endHolders,
  ready,
  SIDES,
  timeless,
  Tools,
  twoChips,
  words,
} from "./tools_rig.ts";

const tools = await Tools.find();

/** Command lines as words: none of these needs a shell's quoting but one. */
function* commandLines(text: string): Generator<[string, string[]]> {
  for (const line of text.trim().split("\n")) {
    const [tool = "", ...args] = [...line.matchAll(/'([^']*)'|(\S+)/g)].map((
      match,
    ) => match[1] ?? match[2]!);
    yield [tool, args];
  }
}

async function allSame(text: string): Promise<void> {
  for (const [tool, args] of commandLines(text)) await tools.same(tool, args);
}

Deno.test("gpiodetect lists chips as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const link = `${await Deno.makeTempDir()}/link`;
  await Deno.symlink(b.path, link);
  await allSame(`
gpiodetect
gpiodetect ${a.name}
gpiodetect ${b.name.slice("gpiochip".length)} ${a.path}
gpiodetect ${link} nonexistent ${a.name}
gpiodetect /dev/null
gpiodetect /etc/passwd /
gpiodetect ''
`);
});

Deno.test("gpioinfo shows lines as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await allSame(`
gpioinfo
gpioinfo --unquoted
gpioinfo -c ${a.name}
gpioinfo --chip ${b.path} --unquoted
gpioinfo foo baz
gpioinfo 'with space' foo
gpioinfo -s foo
gpioinfo --strict foo baz
gpioinfo -c ${a.name} 4 1
gpioinfo -c ${a.name} --by-name 4
gpioinfo -c ${a.name} foo 1 nope 9
gpioinfo -c ${b.name} 3 2 1
gpioinfo foo foo
gpioinfo --unquoted a-name-longer-than-most
gpioinfo -c ${a.name} 7
gpioinfo 1
gpioinfo nope baz
gpioinfo -c nope
gpioinfo -s -c ${a.name} foo 1
`);
});

Deno.test("gpioget reads lines as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await a.pull(1, "up");
  await b.pull(1, "up");
  await allSame(`
gpioget foo
gpioget foo baz bar 'with space'
gpioget --numeric foo baz bar
gpioget --unquoted foo 'with space'
gpioget -c ${a.name} 0 foo 2
gpioget -c ${a.name} 4 3
gpioget -c ${a.name} --by-name 4
gpioget --chip ${b.path} foo
gpioget -l foo bar
gpioget --active-low --unquoted foo
gpioget -b pull-up bar
gpioget --bias=pull-down foo
gpioget -bdisabled foo bar
gpioget -a foo
gpioget --as-is -l bar
gpioget -p 10 foo
gpioget --hold-period=1500us foo
gpioget -p '+5' foo
gpioget -C someone foo
gpioget --consumer=a-name-that-is-longer-than-what-the-kernel-keeps foo
gpioget --strict bar
gpioget -s foo
gpioget -s nope foo bar
gpioget -s -c ${a.name} foo
gpioget -lab bar
gpioget --unq --act foo
gpioget -- foo
`);
});

Deno.test("gpioget refuses as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  await allSame(`
gpioget
gpioget -c ${a.name}
gpioget -c nope foo
gpioget -c /dev/null 0
gpioget nope foo nope2
gpioget -c ${a.name} 9 nope foo 1
gpioget foo bar foo
gpioget -c ${a.name} 1 1
gpioget --by-name 1
gpioget foo -l
gpioget -b bad foo
gpioget --bias as-is foo
gpioget -p bad foo
gpioget -p 1ns foo
gpioget -p -5 foo
gpioget -p 99999999999999999999 foo
gpioget --b foo
gpioget --bogus
gpioget -lq foo
gpioget -c
gpioget --chip
gpioget --numeric=1 foo
gpioget -c ${a.name} 4000000000
gpioget -c ${a.name} 7
`);
});

Deno.test("gpioset ends by itself as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  await allSame(`
gpioset -t0 foo=1
gpioset --toggle 0 foo=active baz=off
gpioset -t 10,20,0 foo=1 bar=0
gpioset --banner -t 10ms,0 foo=1 baz=0 bar=1
gpioset --banner -t0 -c ${a.name} 1=on 2=false
gpioset --banner --unquoted -t0 foo=true
gpioset -t0 -p 20 foo=1
gpioset -t0 --hold-period 20ms foo=inactive
gpioset -t10, foo=1
gpioset -t0 -s bar=1
gpioset -t0 --strict --chip ${a.name} bar=1
gpioset -t0 --by-name -c ${a.name} 4=1
`);
});

Deno.test("gpioset refuses as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  await allSame(`
gpioset
gpioset -c ${a.name}
gpioset foo
gpioset foo=
gpioset foo=2
gpioset foo=TRUE
gpioset foo=1 bar=x
gpioset nope=1
gpioset -c nope 1=1
gpioset -c ${a.name} 9=1 nope=0 foo=1 1=1
gpioset foo=1 foo=0
gpioset -s foo=1
gpioset -t 1ns foo=1
gpioset --toggle 10,5x foo=1
gpioset -p bad foo=1
gpioset -d bad foo=1
gpioset --bias bad foo=1
gpioset -c ${a.name} 4000000000=0
gpioset -c ${a.name} 7=1
gpioset -z nope=1
`);
});

Deno.test("gpioset holds lines as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await a.pull(2, "up");
  const lines = `
foo=1
foo=1 baz=1 bar=0
-l foo=1 bar=0
--active-low -b pull-up -d open-source foo=1 bar=0
--bias=pull-down --drive=open-drain foo=1 bar=0
-d push-pull -b disabled foo=on bar=off
-C someone foo=1
--consumer 'some one' foo=1
-c ${a.name} 0=1 foo=1 2=0
-c ${a.name} --by-name 4=1
-s bar=1 baz=0
`;
  for (const [, given] of commandLines(lines.replace(/^(?=.)/gm, "gpioset "))) {
    const seen = [];
    for (const side of SIDES) {
      const args = ["--banner", ...given];
      await using process = tools.start(side, "gpioset", args);
      await ready(process);
      const info = await tools.run("reference", "gpioinfo", []);
      const levels = [];
      for (const offset of [0, 1, 2, 3]) {
        levels.push(await a.level(offset), await b.level(offset));
      }
      process.kill("SIGTERM");
      const { signal } = await process.waitForExit();
      seen.push({
        info: info.stdout,
        levels,
        signal,
        stdout: process.stdout,
        stderr: process.stderr,
      });
    }
    assertEquals(seen[1], seen[0], words("gpioset", given));
  }
});

Deno.test("gpioset goes on in the background as libgpiod's does", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  for (const option of ["-z", "--daemonize"]) {
    const args = [option, "--banner", "-C", "daemon", "foo=1", "baz=1"];
    const seen = [];
    for (const side of SIDES) {
      const ran = await tools.run(side, "gpioset", args);
      const held = await tools.run("reference", "gpioinfo", ["foo", "baz"]);
      const levels = [await a.level(1), await b.level(0)];
      const again = await tools.run(side, "gpioset", args);
      seen.push({ ran, held, levels, again: comparable(again) });
      // The one that libgpiod's tool leaves is found by its open lines.
      await endHolders();
      await until("the lines are free", async () => {
        const { stdout } = await tools.run("reference", "gpioinfo", ["foo"]);
        return !stdout.includes("daemon");
      });
    }
    assertEquals(seen[1], seen[0], option);
  }
});

Deno.test("gpioset refuses a busy line with libgpiod's words, and says who has it", async () => {
  await using chips = await twoChips();
  await using holder = tools.start("reference", "gpioset", [
    "--banner",
    "-C",
    "the holder",
    "foo=1",
  ]);
  await ready(holder);
  for (
    const [tool, word] of [
      ["gpioget", "foo"],
      ["gpioset", "foo=0"],
      ["gpiomon", "foo"],
    ] as const
  ) {
    const { stderr } = await tools.same(tool, [word]);
    assert(stderr.includes(`'foo' is held by "the holder"`), stderr);
  }
  assertEquals(await chips.a.level(1), 1);
});

Deno.test("The tools print help and version and exit at once, as libgpiod's do", async () => {
  for (
    const tool of [
      "gpiodetect",
      "gpioinfo",
      "gpioget",
      "gpioset",
      "gpiomon",
      "gpionotify",
    ]
  ) {
    for (const option of ["-h", "--help", "-v", "--version", "--he"]) {
      const results = [];
      for (const side of SIDES) {
        const { code, stdout, stderr } = await tools.run(side, tool, [
          option,
          "--nonsense",
        ]);
        results.push({ code, stderr, something: stdout.length > 0 });
      }
      assertEquals(results[1], results[0], `${tool} ${option}`);
    }
    const ours = await tools.run("ours", tool, ["--help"]);
    const theirs = await tools.run("reference", tool, ["--help"]);
    for (const [option] of theirs.stdout.matchAll(/(?<=^ .*)--?[a-z-]+\b/gim)) {
      assert(ours.stdout.includes(option), `${tool} --help: ${option}`);
    }
    const version = await tools.run("ours", tool, ["-v"]);
    assert(version.stdout.startsWith(`${tool} (gpioagg `), version.stdout);
  }
});

Deno.test("Abbreviations mean what they mean to libgpiod's tools", async () => {
  await using _chips = await twoChips();
  await allSame(`
gpiomon --idle 5 foo
gpiomon --b
gpiomon --n 1 --i 5 --qu foo
gpiomon --si --banner --idle-timeout=5 foo
gpiomon --s foo
gpiomon --e=zz
gpiomon --u
gpioget --a
gpioget --c x
gpioset --d x
gpioset --h x
gpionotify --silent --idle=5 bar
gpionotify --s bar
gpiomon --c x foo
gpioinfo --u foo
gpioset --t 0 foo=1
gpionotify --i=5 --un --st bar
`);
});

Deno.test("every option of libgpiod's other tools was compared", async () => {
  for (const tool of ["gpiodetect", "gpioinfo", "gpioget", "gpioset"]) {
    await tools.assertAllCompared(tool);
  }
});

Deno.test("Times are taken out of outputs, and nothing else", () => {
  assertEquals(
    timeless('1.000000001\trising\t"foo"\n2022-11-15T03:05:23.807090687Z x'),
    'SECONDS\trising\t"foo"\nDATEZ x',
  );
});
