import { assertEquals, assertThrows } from "@std/assert";
import { checkAggregators } from "./command_line.ts";
import { ConfigError } from "../document/config_error.ts";
import type { AggregatorSpecification } from "../specification.ts";
import { parseLineSpec } from "./line_spec.ts";

function check(aggregators: Readonly<Record<string, readonly string[]>>) {
  return checkAggregators(
    Object.entries(aggregators).map(([name, specs]) => ({
      name,
      vhostUser: { socketPath: `/run/${name}.sock` },
      lines: specs.flatMap((spec) => parseLineSpec(spec)),
    })),
  );
}

Deno.test("checkAggregators() looks references up across a command line", () => {
  const { aggregators } = check({
    a: ["sim/1,as=READY", "copy/READY"],
    b: ["wire/a.READY"],
  });
  assertEquals(aggregators[0]!.lines[1]!.source, {
    kind: "copy",
    of: { aggregator: "a", line: "READY" },
  });
  assertEquals(aggregators[1]!.lines[0]!.source, {
    kind: "wire",
    to: { aggregator: "a", line: "READY" },
  });
});

const REFUSED: readonly (readonly [string, string[], string[], string])[] = [
  ["--line wire/a.X", ["sim/1"], ["wire/a.X"], "a has no line"],
  [
    "--line chip0/1",
    ["chip0/1"],
    ["chip0/1"],
    "the line is taken by a already, by --line chip0/1",
  ],
  ["--line X,shared", ["X,direction=input"], ["X,shared"], "taken by a"],
  ["--line copy/Y,as=Y", ["copy/Y,as=Y"], ["sim/1"], "refers to itself"],
];

for (const [path, a, b, problem] of REFUSED) {
  Deno.test(`checkAggregators() refuses ${a} beside ${b} (${problem})`, () => {
    const error = assertThrows(() => check({ a, b }), ConfigError, problem);
    assertEquals(error.path, path);
    assertEquals(error.line, 0);
  });
}

Deno.test("checkAggregators() names the option of an aggregator that it refuses", () => {
  const refuse = (
    exposure: Partial<AggregatorSpecification>,
    spec: string,
  ): [string, string] => {
    const { path, problem } = assertThrows(
      () =>
        checkAggregators([
          { name: "a", ...exposure, lines: parseLineSpec(spec) },
          {
            name: "b",
            vhostUser: { socketPath: "/run/a" },
            lines: parseLineSpec("sim/1"),
          },
        ]),
      ConfigError,
    );
    return [path, problem];
  };
  const usbredir = { socketPath: "/run/u", device: "ljca" as const };
  assertEquals(refuse({ usbredir }, "sim/65"), [
    "--usbredir /run/u",
    "has 65 lines, but USB adapters have at most 64",
  ]);
  assertEquals(refuse({ vfioUser: { socketPath: "/run/v" } }, "sim/110"), [
    "--vfio-user /run/v",
    "has 110 lines, but a PCI card has 109",
  ]);
  assertEquals(refuse({ vfioUser: { socketPath: "/run/a" } }, "sim/1"), [
    "--socket-path /run/a",
    "/run/a is a's vfio-user socket already",
  ]);
});
