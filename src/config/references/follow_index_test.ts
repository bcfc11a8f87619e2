import { assertEquals, assertThrows } from "@std/assert";
import { threadCpuMs } from "../../../tests/doubles/cpu_time.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { ConfigError } from "../document/config_error.ts";
import { parseConfig } from "../file/config_file.ts";
import { FollowIndex, MAX_FOLLOWED_LINES } from "./follow_index.ts";
import { parseLineSpec } from "../spec/line_spec.ts";
import type { AggregatorSpecification } from "../specification.ts";

/** An aggregator whose lines copy others of other aggregators. */
function copying(name: string, ...of: string[]): AggregatorSpecification {
  return {
    name,
    lines: of.map((line, i) => {
      const [aggregator = "", other = ""] = line.split(".");
      return {
        ...parseLineSpec("sim/1")[0]!,
        name: `L${i}`,
        source: { kind: "copy", of: { aggregator, line: other } },
      };
    }),
  };
}

Deno.test("FollowIndex allows chains up to its limit, across additions", () => {
  const index = new FollowIndex();
  for (let i = 0; i < MAX_FOLLOWED_LINES; i++) {
    const next = copying(`a${i}`, i === 0 ? "sim.S" : `a${i - 1}.L0`);
    index.check([next]);
    index.add(next);
  }
  const last = `a${MAX_FOLLOWED_LINES - 1}.L0`;
  const error = assertThrows(() => index.check([copying("b", last)]));
  assertEquals(
    (error as Error).message.includes("more than 16 lines that follow"),
    true,
    String(error),
  );
  // What is in the middle made longer makes the end too long.
  index.remove("a3");
  assertThrows(
    () => index.check([copying("a3", "c.L0"), copying("c", "a2.L0")]),
    ConfigError,
  );
  index.check([copying("a3", "sim.S")]);
});

Deno.test("FollowIndex finds circles that close across additions", () => {
  const index = new FollowIndex();
  index.add(copying("a", "b.L0"));
  index.check([copying("b", "c.L0")]);
  const error = assertThrows(
    () => index.check([copying("b", "c.L0"), copying("c", "a.L0")]),
    ConfigError,
  );
  assertEquals(error.message.includes("is part of a cycle"), true);
  assertThrows(() => index.check([copying("a", "a.L0")]), ConfigError);
});

testLarge("FollowIndex is not slow with many lines", () => {
  const index = new FollowIndex();
  const many = Array.from({ length: 20_000 }, () => "sim.S");
  index.add(copying("a", ...many));
  const next = copying("b", ...many.map((_, i) => `a.L${i}`));
  const begun = threadCpuMs();
  index.check([next]);
  assertEquals(threadCpuMs() - begun < 2000, true);
});

Deno.test("A file with too long a chain of copies has an error for it", () => {
  const lines = Array.from(
    { length: 40 },
    (_, i) =>
      `      - {${i === 0 ? "sim: 1" : `copy: L${i - 1}`}, as: L${i}}\n`,
  );
  const result = parseConfig(
    `aggregators:\n  a:\n    vhost-user: /run/a.sock\n    lines:\n${
      lines.join("")
    }`,
    "test.yaml",
  );
  const errors = "errors" in result ? result.errors : [];
  assertEquals(
    errors.map(({ line, problem }) => [line, problem.slice(0, 30)]),
    [[22, "is at the end of more than 16 "]],
  );
});
