import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import type { HostChip } from "./host_chips.ts";
import { resolveLines } from "./resolve.ts";

function chip(number: number, label: string, ...names: string[]): HostChip {
  return {
    name: `gpiochip${number}`,
    path: `/dev/gpiochip${number}`,
    label,
    lines: names.map((name) => ({ name, used: false, consumer: "" })),
  };
}

const HOST = [
  chip(0, "soc", "START", "STOP", "", "LED"),
  chip(1, "expander", "A", "B", "TWICE"),
  chip(2, "expander", "C", "", "TWICE"),
  chip(3, "", "LONE", ""),
  chip(4, "gpio-aggregator.0", "STOP", "COPY"),
];

function resolve(...specs: string[]) {
  return resolveLines(specs.flatMap((spec) => parseLineSpec(spec)), HOST);
}

function keys(...specs: string[]) {
  return resolve(...specs).map(({ key, offset }) => [key, offset]);
}

function failure(...specs: string[]): string {
  return assertThrows(() => resolve(...specs), ConfigError).message;
}

Deno.test("resolveLines() finds lines by a chip's name, number, path and label", () => {
  for (const chip of ["gpiochip0", "0", "soc"]) {
    assertEquals(keys(`${chip}/3,1`), [["soc", 3], ["soc", 1]]);
  }
  assertEquals(resolve("soc/0,as=GO")[0], {
    title: "--line soc/0,as=GO",
    position: { path: "--line soc/0,as=GO" },
    key: "soc",
    offset: 0,
    name: "GO",
    isNameRequested: true,
    chip: "gpiochip0",
    chipOffset: 0,
  });
});

Deno.test("resolveLines() takes a name for the original, not for an aggregated copy", () => {
  assertEquals(keys("STOP"), [["soc", 1]]);
  assertEquals(keys("COPY"), [["gpio-aggregator.0", 1]]);
  assertEquals(resolve("STOP")[0]!.name, "STOP");
});

Deno.test("resolveLines() goes by the line's own name where the chip's label is no help", () => {
  assertEquals(keys("gpiochip2/0"), [["C", -1]]);
  assertEquals(keys("LONE"), [["LONE", -1]]);
  assertStringIncludes(failure("gpiochip2/1"), "the kernel cannot find");
  assertStringIncludes(failure("gpiochip1/2"), "the kernel cannot find");
  assertStringIncludes(failure("gpiochip3/1"), "this one has none");
});

Deno.test("resolveLines() tells the kernel no key that it would cut, or has cut for us", () => {
  const long = "x".repeat(31);
  const host = [
    chip(0, long, "OK", long, " END", ""),
    chip(1, "voilà", "FINE", "déjà"),
    chip(2, "bad \ufffd", "GOOD"),
    chip(3, "y".repeat(30), "Z"),
  ];
  const resolveKey = (spec: string) => {
    const { key, offset } = resolveLines(parseLineSpec(spec), host)[0]!;
    return [key, offset];
  };
  assertEquals(resolveKey("gpiochip0/0"), ["OK", -1]);
  assertEquals(resolveKey("gpiochip1/0"), ["FINE", -1]);
  assertEquals(resolveKey("gpiochip2/0"), ["GOOD", -1]);
  assertEquals(resolveKey("gpiochip3/0"), ["y".repeat(30), 0]);
  for (const spec of ["gpiochip0/1", "gpiochip0/2", "gpiochip1/1"]) {
    const { message } = assertThrows(() => resolveKey(spec), ConfigError);
    assertStringIncludes(message, "is not all of it, or has blanks");
  }
});

Deno.test("resolveLines() says what is ambiguous, missing or asked for twice", () => {
  assertStringIncludes(failure("TWICE"), "gpiochip1/2, gpiochip2/2");
  assertStringIncludes(failure("expander/0"), "gpiochip1, gpiochip2");
  assertStringIncludes(failure("NO_SUCH"), 'named "NO_SUCH"');
  assertStringIncludes(failure("none/0"), 'no chip "none"');
  assertStringIncludes(failure("soc/4"), "its last is 3");
  assertStringIncludes(failure("soc/1", "STOP"), "requested twice");
});

Deno.test("resolveLines() names the holder of a line in use", () => {
  const used = HOST.map((chip) => ({
    ...chip,
    lines: chip.lines.map((line) => ({
      ...line,
      used: true,
      consumer: "gpio-keys",
    })),
  }));
  const error = assertThrows(
    () => resolveLines(parseLineSpec("STOP"), used),
    Error,
    'gpiochip0 line 1 is busy (EBUSY), held by "gpio-keys"',
  );
  assertStringIncludes(error.message, "--line STOP");
});
