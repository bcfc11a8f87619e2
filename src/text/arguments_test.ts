import { assertEquals, assertThrows } from "@std/assert";
import {
  describe,
  requireKeys,
  requireSignal,
  requireTimeout,
  requireValue,
} from "./arguments.ts";

Deno.test("describe() names a value of any kind", () => {
  const cases: [unknown, string][] = [
    ["0", 'the string "0"'],
    ["x".repeat(99), `the string "${"x".repeat(40)}…"`],
    [false, "the boolean false"],
    [5n, "the bigint 5n"],
    [null, "null"],
    [undefined, "undefined"],
    [NaN, "NaN"],
    [-1, "-1"],
    [[], "an array"],
    [{}, "an object"],
    [() => {}, "a function"],
  ];
  for (const [value, text] of cases) assertEquals(describe(value), text);
});

Deno.test("requireValue() takes 0 and 1 and nothing that only looks like them", () => {
  requireValue("value", 0);
  requireValue("value", 1);
  for (const value of [true, false, "0", "1", null, undefined, NaN, 2, -1]) {
    assertThrows(
      () => requireValue("the value of line 3", value),
      TypeError,
      `the value of line 3 must be 0 (inactive) or 1 (active), not ${
        describe(value)
      }`,
    );
  }
});

Deno.test("requireKeys() suggests the key that was meant", () => {
  const known = ["activeLow", "outputValue", "edge"];
  const cases: [string, string][] = [
    ["activelow", "did you mean activeLow?"],
    ["active_low", "did you mean activeLow?"],
    ["edgs", "did you mean edge?"],
    ["value", "did you mean outputValue?"],
    ["colour", "the keys are activeLow, outputValue, edge"],
  ];
  for (const [key, end] of cases) {
    assertThrows(
      () => requireKeys("settings", { [key]: 1 }, known, { value: known[1]! }),
      TypeError,
      `Unknown key "${key}" in settings: ${end}`,
    );
  }
  for (const value of [null, [], 5, "x", undefined]) {
    assertThrows(
      () => requireKeys("settings", value, known),
      TypeError,
      `settings must be an object, not ${describe(value)}`,
    );
  }
});

Deno.test("requireTimeout() and requireSignal() take what they are for", () => {
  for (const ms of [-1, 0, 0.5, Infinity]) requireTimeout("timeoutMs", ms);
  for (const ms of [NaN, -2, "5", null]) {
    assertThrows(() => requireTimeout("timeoutMs", ms), TypeError);
  }
  requireSignal("signal", undefined);
  requireSignal("signal", AbortSignal.abort());
  assertThrows(() => requireSignal("signal", {}), TypeError);
});
