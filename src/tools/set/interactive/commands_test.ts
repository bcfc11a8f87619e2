import { assert, assertEquals } from "@std/assert";
import type { Value } from "../../../line/value.ts";
import { ToolError } from "../../program/tool_error.ts";
import { Commands } from "./commands.ts";

/** Lines without a kernel, and a session on them. */
function session(
  initial: Readonly<Record<string, Value>>,
  options: { unquoted?: boolean; json?: boolean; holdUs?: number } = {},
) {
  const ids = Object.keys(initial);
  const values = Object.values(initial);
  const slept: number[] = [];
  let printed = "";
  let refuses = false;
  const commands = new Commands({
    ids,
    hostLine: (index) => ({ chip: "gpiochip0", offset: index }),
    outputValue: (index) => values[index]!,
    setValues: (wanted) => {
      if (refuses) throw new ToolError("unable to set values");
      for (const [index, value] of wanted) values[index] = value;
    },
  }, {
    unquoted: options.unquoted ?? false,
    json: options.json ?? false,
    print: (text) => printed += text,
    report: (error) => printed += `failed: ${error.message}\n`,
    holdUs: options.holdUs ?? 0,
    sleep: (us) => {
      slept.push(us);
      return Promise.resolve();
    },
  });
  return {
    refuse: (wanted: boolean) => refuses = wanted,
    slept,
    commands,
    /** Runs one command; what it printed. */
    async run(text: string): Promise<string> {
      printed = "";
      assert(await commands.run(text), `${text} ended the session`);
      return printed;
    },
  };
}

Deno.test("get shows all lines or those that are named", async () => {
  const { run } = session({ foo: 1, "a b": 0 });
  assertEquals(await run("get"), '"foo"=active "a b"=inactive\n');
  assertEquals(
    await run(' get\tfoo  foo "a b" '),
    '"foo"=active "foo"=active "a b"=inactive\n',
  );
  const plain = session({ foo: 1, "a b": 0 }, { unquoted: true });
  assertEquals(await plain.run("get"), "foo=active a b=inactive\n");
  const json = session({ foo: 1, "a b": 0 }, { json: true });
  assertEquals(
    await json.run("get"),
    '{"line":"foo","chip":"gpiochip0","offset":0,"value":1}\n' +
      '{"line":"a b","chip":"gpiochip0","offset":1,"value":0}\n',
  );
});

Deno.test("set takes every word for a value, and names in quotes", async () => {
  const { run } = session({ foo: 0, "a b": 0, "x=y": 0 });
  assertEquals(await run('set foo=on "a b"=true x=y=1'), "");
  assertEquals(await run("get"), '"foo"=active "a b"=active "x=y"=active\n');
  assertEquals(await run('set foo=1 "foo"=0'), "");
  assertEquals(await run("get foo"), '"foo"=inactive\n');
});

Deno.test("toggle turns all lines or those that are named", async () => {
  const { run } = session({ foo: 0, bar: 1 });
  await run("toggle");
  assertEquals(await run("get"), '"foo"=active "bar"=inactive\n');
  await run("toggle bar");
  assertEquals(await run("get"), '"foo"=active "bar"=active\n');
});

Deno.test("sleep waits for a period", async () => {
  const { run, slept } = session({ foo: 0 });
  await run("sleep 10");
  await run("sleep 250us");
  assertEquals(slept, [10_000, 250]);
});

Deno.test("set and toggle hold their values for the hold period", async () => {
  const { run, slept } = session({ foo: 0 }, { holdUs: 300 });
  await run("set foo=1");
  await run("toggle");
  await run("get");
  assertEquals(slept, [300, 300]);
});

Deno.test("exit ends the session, with or without more words", async () => {
  assertEquals(await session({ foo: 0 }).commands.run("exit"), false);
  assertEquals(await session({ foo: 0 }).commands.run(" exit now"), false);
});

Deno.test("help lists the commands", async () => {
  const text = await session({ foo: 0 }).run("help me");
  for (const command of ["exit", "get", "help", "set", "sleep", "toggle"]) {
    assert(text.includes(`\n    ${command}`), command);
  }
});

Deno.test("A wrong command changes nothing and says what is wrong", async () => {
  const { run, slept } = session({ foo: 0, bar: 0 });
  const wrong: Record<string, string> = {
    "foo": "unknown command: 'foo'\nTry the 'help' command\n",
    "GET": "unknown command: 'GET'\nTry the 'help' command\n",
    "set": "at least one GPIO line value must be specified\n",
    "set foo": "invalid line value: 'foo'\n",
    "set foo=2": "invalid line value: '2'\n",
    "set foo = 1": "invalid line value: 'foo'\n",
    "set foo=1 nope=1": "unknown line: 'nope'\n",
    'set "foo=1"': "invalid line value: '\"foo=1\"'\n",
    "get nope foo no": "unknown line: 'nope'\nunknown line: 'no'\n",
    'get "foo': "invalid line id: '\"foo'\n",
    "toggle foo nope": "unknown line: 'nope'\n",
    "sleep": "a period must be specified\n",
    "sleep x": "invalid period: 'x'\n",
    "sleep 1 2": "only one period can be specified\n",
  };
  for (const [text, message] of Object.entries(wrong)) {
    assertEquals(await run(text), message, text);
  }
  assertEquals(await run(""), "");
  assertEquals(await run(" \t"), "");
  assertEquals(await run("get"), '"foo"=inactive "bar"=inactive\n');
  assertEquals(slept, []);
});

Deno.test("complete() finds commands, lines and values", () => {
  const { commands } = session({ foo: 0, "a b": 0, fob: 1 });
  const complete = (before: string) => commands.complete(before);
  assertEquals(complete(""), {
    start: 0,
    words: ["exit ", "get ", "help ", "set ", "sleep ", "toggle "],
  });
  assertEquals(complete(" s"), { start: 1, words: ["set ", "sleep "] });
  assertEquals(complete("get "), {
    start: 4,
    words: ["foo ", '"a b" ', "fob "],
  });
  assertEquals(complete("get f"), { start: 4, words: ["foo ", "fob "] });
  assertEquals(complete("toggle foo f"), { start: 11, words: ["fob "] });
  assertEquals(complete('get "a '), { start: 4, words: ['"a b" '] });
  assertEquals(complete('get "f'), { start: 4, words: ['"foo" ', '"fob" '] });
  assertEquals(complete("set fo"), { start: 4, words: ["foo=", "fob="] });
  assertEquals(complete("set foo="), {
    start: 8,
    words: ["active ", "inactive "],
  });
  assertEquals(complete('set "a b"=in'), { start: 10, words: ["inactive "] });
  assertEquals(complete("sleep 1"), { start: 6, words: [] });
  assertEquals(complete("nope f"), { start: 5, words: [] });
});

Deno.test("a line that cannot be set is told of, and the session goes on", async () => {
  const { run, refuse } = session({ foo: 0 });
  refuse(true);
  assertEquals(await run("set foo=1"), "failed: unable to set values\n");
  assertEquals(await run("toggle"), "failed: unable to set values\n");
  assertEquals(await run("get"), '"foo"=inactive\n');
  refuse(false);
  assertEquals(await run("set foo=1"), "");
  assertEquals(await run("get"), '"foo"=active\n');
});
