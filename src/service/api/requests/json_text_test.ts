import { assertEquals, assertThrows } from "@std/assert";
import {
  countKeys,
  examineJson,
  jsonFault,
  keyGivenTwice,
  positionAt,
} from "./json_text.ts";

Deno.test("examineJson() counts keys and depth outside of strings", () => {
  for (
    const [text, keys] of [
      ["1", 0],
      ['"a:b{"', 0],
      ['{"a": 1, "b": {"c\\":": [":", {"d": null}]}}', 4],
      ['["\\\\", {"__proto__": {}}]', 1],
    ] as const
  ) {
    assertEquals(examineJson(text, 8), { isDeep: false, keys }, text);
    assertEquals(countKeys(JSON.parse(text)), keys, text);
    assertEquals(keyGivenTwice(text), undefined, text);
  }
  assertEquals(examineJson("[[[", 2).isDeep, true);
  assertEquals(examineJson('["[[["]', 2).isDeep, false);
  // Without an end.
  assertEquals(examineJson('{"a\\', 2), { isDeep: false, keys: 0 });
});

Deno.test("keyGivenTwice() names a key, however it is written", () => {
  for (
    const [text, key] of [
      ['{"a": 1, "b": 2, "a": 3}', "a"],
      ['{"a": 1, "\\u0061": 3}', "a"],
      ['[{"a": {"x": 1, "x": 1}}]', "x"],
      ['{"__proto__": 1, "__proto__": 2}', "__proto__"],
      ['{"": 1, "": 2}', ""],
      ['{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}', undefined],
    ] as const
  ) {
    assertEquals(keyGivenTwice(text), key, text);
    const isOnce = countKeys(JSON.parse(text)) === examineJson(text, 8).keys;
    assertEquals(isOnce, key === undefined, text);
  }
});

Deno.test("jsonFault() finds where a text ceases to be JSON", () => {
  for (
    const [text, index, expected] of [
      ['{"a": 1,}', 8, "a key in quotes"],
      ['{"a": x}', 6, "a value"],
      ['{"a" 1}', 5, "a colon"],
      ['{"a": 1 "b": 2}', 8, "a comma or }"],
      ["[1, 2", 5, "a comma or ]"],
      ["[1,", 3, "a value"],
      ['{"a": "b', 8, "the rest of a string"],
      ['["a\\x"]', 3, "the rest of a string"],
      ['["\n"]', 2, "the rest of a string"],
      ["{'a': 1}", 1, "a key in quotes"],
      ["01", 1, "the end"],
      ["-", 0, "a value"],
      ["{} {}", 3, "the end"],
      ["nul", 0, "a value"],
    ] as const
  ) {
    assertEquals(jsonFault(text), { index, expected }, text);
    assertThrows(() => JSON.parse(text));
  }
  for (
    const text of ['{"a": [1e5, -0.5E+1, "\\u00e4\\n"], "b": {}}', "[]", " 1 "]
  ) {
    assertEquals(jsonFault(text), undefined, text);
    JSON.parse(text);
  }
});

Deno.test("jsonFault() and JSON.parse() agree on texts with one slip", () => {
  const text = '{"a": [1, -2.5e3, "x\\"y"], "b": {"c": null, "d": [true]}}';
  for (let at = 0; at < text.length; at++) {
    for (const put of ["", ",", "]", '"', "x", "0", "\\", " "]) {
      const slip = text.slice(0, at) + put + text.slice(at + 1);
      let isValid = true;
      try {
        JSON.parse(slip);
      } catch {
        isValid = false;
      }
      assertEquals(jsonFault(slip) === undefined, isValid, slip);
    }
  }
});

Deno.test("positionAt() counts lines and columns from 1", () => {
  assertEquals(positionAt("ab\ncd", 0), { line: 1, column: 1 });
  assertEquals(positionAt("ab\ncd", 4), { line: 2, column: 2 });
});
