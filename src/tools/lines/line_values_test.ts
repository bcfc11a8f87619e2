import { assertEquals, assertThrows } from "@std/assert";
import { parseAssignment, parseValue } from "./line_values.ts";
import { ToolError } from "../program/tool_error.ts";

Deno.test("parseValue() knows the words for both values", () => {
  assertEquals(["1", "active", "on", "true"].map(parseValue), [1, 1, 1, 1]);
  assertEquals(["0", "inactive", "off", "false"].map(parseValue), [0, 0, 0, 0]);
  for (const text of ["", "2", "TRUE", "yes", "toString"]) {
    assertEquals(parseValue(text), undefined, text);
  }
});

Deno.test("parseAssignment() splits at the last equal sign", () => {
  assertEquals(parseAssignment("foo=1"), ["foo", 1]);
  assertEquals(parseAssignment("a=b=off"), ["a=b", 0]);
  assertEquals(parseAssignment("=1"), ["", 1]);
});

Deno.test("parseAssignment() quotes the value that is none", () => {
  const refusal = (text: string) =>
    assertThrows(() => parseAssignment(text), ToolError).message;
  assertEquals(refusal("foo=2"), "invalid line value: '2'");
  assertEquals(refusal("foo="), "invalid line value: ''");
  assertEquals(refusal("foo"), "invalid line value: 'foo'");
});
