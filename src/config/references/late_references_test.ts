import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../document/config_error.ts";
import { resolveLate } from "./late_references.ts";
import { parseLineSpec } from "../spec/line_spec.ts";
import type { LineReference } from "../specification.ts";

function resolved(...specs: string[]) {
  const { lines } = resolveLate(
    { name: "own", lines: specs.flatMap((spec) => parseLineSpec(spec)) },
    ({ aggregator, line }: LineReference) =>
      aggregator === "other" && line === "READY",
  );
  return lines.map(({ source }) => source);
}

Deno.test("resolveLate() looks for lines of the same aggregator, then of others", () => {
  assertEquals(resolved("sim/1,as=A.B", "copy/A.B", "wire/other.READY"), [
    { kind: "sim" },
    { kind: "copy", of: { aggregator: "own", line: "A.B" } },
    { kind: "wire", to: { aggregator: "other", line: "READY" } },
  ]);
});

for (const spec of ["copy/NONE", "wire/other.NONE", "invert/X,as=X"]) {
  Deno.test(`resolveLate() refuses ${spec}`, () => {
    const error = assertThrows(
      () => resolved(spec),
      ConfigError,
      "there is no line",
    );
    assertEquals(error.path, `--line ${spec}`);
  });
}

Deno.test("resolveLate() refuses a text that is two lines", () => {
  const error = assertThrows(
    () => resolved("sim/1,as=other.READY", "copy/other.READY"),
    ConfigError,
    'is line "other.READY" of own and line "READY" of other',
  );
  assertEquals(error.path, "--line copy/other.READY");
  // A line that has the name of the line it follows does not mean itself.
  assertEquals(resolved("copy/other.READY,as=other.READY"), [
    { kind: "copy", of: { aggregator: "other", line: "READY" } },
  ]);
});

Deno.test("resolveLate() suggests the line that was meant", () => {
  const error = assertThrows(
    () => resolved("sim/1,as=READY", "copy/READX"),
    ConfigError,
  );
  assertEquals(error.hint, "Did you mean READY?");
});
