/** Files that are made to cost more than they say. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { threadCpuMs } from "../../../tests/doubles/cpu_time.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { rounds } from "../../../tests/environment/rounds.ts";
import { parseConfig } from "./config_file.ts";

/** Returns the errors of a file, found within `limitMs` of CPU time. */
function listErrors(text: string, limitMs = 10_000): string[] {
  const begun = threadCpuMs();
  const result = parseConfig(text, "test.yaml");
  const tookMs = threadCpuMs() - begun;
  assert(tookMs < limitMs, `it took ${Math.round(tookMs)} ms`);
  if ("specification" in result) return [];
  assert(result.errors.length <= 1000);
  return result.errors.map(({ message }) => message);
}

const REST = "    vhost-user: /tmp/x.sock\n    lines: [sim/1]\n";

Deno.test("A mapping that merges itself is an error of the file", () => {
  for (
    const text of [
      `aggregators:\n  p: &p\n    <<: *p\n${REST}`,
      `aggregators:\n  p: &p\n    <<: [*p, *p]\n${REST}`,
      `aggregators:\n  p: &p\n    <<: {<<: {<<: *p}}\n${REST}`,
      `aggregators: &a\n  <<: *a\n  p:\n${REST}`,
      `&r\n<<: *r\naggregators:\n  p:\n${REST}`,
      `aggregators: {p: {defaults: &d {<<: *d}, vhost-user: /x, lines: [sim/1]}}`,
    ]
  ) assertStringIncludes(listErrors(text).join("\n"), "merges itself");
});

Deno.test("A list that is in itself is an error of the file", () => {
  const [error] = listErrors(
    "aggregators:\n  p:\n    vhost-user: /x\n    lines: &l [*l]\n",
  );
  assertStringIncludes(error!, "found a list");
});

testLarge(
  "Merges that double at every step are refused, and cost little",
  () => {
    for (const list of ["[*m#, *m#]", "{<<: [*m#, *m#], a: b}"]) {
      let text = "m0: &m0 {sim: 1, as: A}\n";
      for (let i = 1; i < 60; i++) {
        text += `m${i}: &m${i} {<<: ${list.replaceAll("#", `${i - 1}`)}}\n`;
      }
      text += "aggregators:\n  p:\n    vhost-user: /x\n    lines: [*m59]\n";
      assertStringIncludes(
        listErrors(text).join("\n"),
        "more than 50000 values",
      );
    }
  },
);

testLarge(
  "Aliases that multiply long lists are refused, and cost little",
  () => {
    const lines = Array.from({ length: 5000 }, () => "sim/1").join(", ");
    const aggregators = Array.from(
      { length: 500 },
      (_, i) => `  a${i}: {vhost-user: /x${i}, lines: *l}\n`,
    );
    const text = `aggregators:\n  p: {vhost-user: /x, lines: &l [${lines}]}\n` +
      aggregators.join("");
    assertStringIncludes(
      listErrors(text, 15_000).join("\n"),
      "more than 50000",
    );
  },
);

Deno.test("Values that are nested too deeply are an error of the file", () => {
  const deep = 100_000;
  for (
    const text of [
      `aggregators: ${"[".repeat(deep)}${"]".repeat(deep)}`,
      `aggregators: ${"[".repeat(deep)}`,
      `aggregators: ${"{a: ".repeat(deep)}`,
      `aggregators:\n  ${"- ".repeat(deep)}x`,
      `${"? ".repeat(deep)}x`,
      `aggregators: ${"[".repeat(201)}${"]".repeat(201)}`,
    ]
  ) assertStringIncludes(listErrors(text).join("\n"), "deeper than 200 levels");
});

testLarge(
  "A large file with nothing but errors is read in bounded time",
  () => {
    // What costs the square of the size is beyond the limit of either.
    const size = rounds(512, 64) * 1024;
    const limitMs = rounds(60_000, 1000);
    for (
      const piece of [
        "a: b\n",
        "[],",
        "- x\n",
        "'",
        "# c\n",
        "&a ",
        "!",
        "? a\n",
      ]
    ) {
      const count = Math.floor(size / piece.length);
      listErrors(`aggregators: {}\n${piece.repeat(count)}`, limitMs);
      listErrors(`aggregators: [${piece.repeat(count)}`, limitMs);
    }
  },
);

Deno.test("Names of every object are plain keys", () => {
  for (
    const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]
  ) {
    assert(
      listErrors(`${key}: 1\naggregators:\n  p:\n${REST}`).length > 0,
      key,
    );
    assert(listErrors(`aggregators:\n  p:\n    ${key}: 1\n${REST}`).length > 0);
    const named = listErrors(`aggregators:\n  ${key}:\n${REST}`);
    assertEquals(named, [], key);
    assert(
      listErrors(`aggregators:\n  p:\n    <<: {${key}: {a: b}}\n${REST}`)
        .length > 0,
    );
  }
  assertEquals(({} as Record<string, unknown>)["a"], undefined);
});

testLarge(
  "Aliases that multiply unknown keys are refused, and cost little",
  () => {
    const keys = Array.from({ length: 5000 }, (_, i) => `k${i}: ${i}`);
    const aggregators = Array.from({ length: 2000 }, (_, i) => `p${i}: *x`);
    const errors = listErrors(
      `x: &x {${keys.join()}}\naggregators: {${aggregators.join()}}\n`,
      2000,
    );
    assertEquals(errors.length, 1000);
  },
);

testLarge("Many references to nothing cost little", () => {
  const name = (i: number) => `${"n".repeat(50)}${i}`;
  const aggregators = Array.from(
    { length: 1100 },
    (_, i) =>
      `${name(i)}: {vhost-user: /x${i}, lines: [wire/${name(i + 9000)}.y]}`,
  );
  const errors = listErrors(`aggregators: {${aggregators.join()}}\n`, 8000);
  assertStringIncludes(errors[0]!, "there is no aggregator");
  assertEquals(errors.length, 1000);
});
