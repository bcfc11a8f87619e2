import { assertEquals, assertThrows } from "@std/assert";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const TABLE = [
  { long: "as-is", short: "a", help: [] },
  { long: "bias", short: "b", value: "bias", help: [] },
  { long: "by-name", help: [] },
  { long: "chip", short: "c", value: "chip", help: [] },
  { long: "consumer", short: "C", value: "name", help: [] },
  { long: "version", short: "v", help: [] },
  { long: "verbatim", value: "file", help: [], extension: true },
] as const satisfies readonly OptionSpec[];

function read(...args: string[]): [string[], string[] | undefined] {
  const seen: string[] = [];
  const operands = readOptions(TABLE, args, ({ long }, value) => {
    seen.push(value === "" ? long : `${long}=${value}`);
    return long === "version";
  });
  return [seen, operands];
}

function refusal(...args: string[]): string {
  return assertThrows(() => read(...args), UsageError).lines.join("|");
}

Deno.test("readOptions() takes bundled letters, the last one with its value", () => {
  assertEquals(read("-abpull-up", "x"), [["as-is", "bias=pull-up"], ["x"]]);
  assertEquals(read("-ab", "pull-up", "x"), [
    ["as-is", "bias=pull-up"],
    ["x"],
  ]);
});

Deno.test("readOptions() takes long options with the value in either place", () => {
  assertEquals(read("--chip=0", "--chip", "1", "x")[0], ["chip=0", "chip=1"]);
  assertEquals(read("--chip=a=b")[0], ["chip=a=b"]);
  assertEquals(read("--chip=", "x"), [["chip"], ["x"]]);
});

Deno.test("readOptions() stops at the first operand", () => {
  assertEquals(read("-a", "foo", "-b", "x"), [["as-is"], ["foo", "-b", "x"]]);
  assertEquals(read("-", "-a"), [[], ["-", "-a"]]);
});

Deno.test("readOptions() takes what follows -- as operands", () => {
  assertEquals(read("-a", "--", "-b", "--"), [["as-is"], ["-b", "--"]]);
});

Deno.test("readOptions() takes -- as a value when one is due", () => {
  assertEquals(read("-c", "--", "x"), [["chip=--"], ["x"]]);
});

Deno.test("readOptions() completes unambiguous prefixes", () => {
  assertEquals(read("--as", "--bi=x", "--by")[0], [
    "as-is",
    "bias=x",
    "by-name",
  ]);
});

Deno.test("readOptions() prefers libgpiod's options when completing", () => {
  assertEquals(read("--ver"), [["version"], undefined]);
  assertEquals(read("--verb", "f")[0], ["verbatim=f"]);
});

Deno.test("readOptions() refuses as getopt_long does", () => {
  assertEquals(
    refusal("--b"),
    "option '--b' is ambiguous; possibilities: '--bias' '--by-name'",
  );
  assertEquals(refusal("--nope=3"), "unrecognized option '--nope=3'");
  assertEquals(refusal("-az"), "invalid option -- 'z'");
  assertEquals(refusal("-c"), "option requires an argument -- 'c'");
  assertEquals(refusal("--chi"), "option '--chip' requires an argument");
  assertEquals(refusal("--as=1"), "option '--as-is' doesn't allow an argument");
});

Deno.test("readOptions() applies options in order, up to the wrong one", () => {
  const seen: string[] = [];
  assertThrows(
    () =>
      readOptions(TABLE, ["-a", "-z"], ({ long }) => {
        seen.push(long);
        return false;
      }),
    UsageError,
  );
  assertEquals(seen, ["as-is"]);
});

Deno.test("readOptions() reads no further than an option that ends it", () => {
  assertEquals(read("-av", "--nope"), [["as-is", "version"], undefined]);
});
