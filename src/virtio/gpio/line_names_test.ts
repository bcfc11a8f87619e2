import { assertEquals, assertThrows } from "@std/assert";
import { encodeLineNames } from "./line_names.ts";

Deno.test("encodeLineNames() ends every name with a zero byte", () => {
  assertEquals(
    encodeLineNames(["A", "", "BC"]),
    Uint8Array.of(0x41, 0, 0, 0x42, 0x43, 0),
  );
});

Deno.test("encodeLineNames() makes no block when no line has a name", () => {
  assertEquals(encodeLineNames(["", "", ""]).length, 0);
});

Deno.test("encodeLineNames() refuses what guests cannot take", () => {
  const cases: [names: string[], text: string][] = [
    [["a", "b", "a"], 'Cannot name line 2 "a": line 0 has that name'],
    [["", "grün"], "7-bit characters"],
    [["a\0b"], "7-bit characters"],
    [["\u{1f600}"], "7-bit characters"],
  ];
  for (const [names, text] of cases) {
    assertThrows(() => encodeLineNames(names), RangeError, text);
  }
});
