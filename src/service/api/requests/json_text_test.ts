import { assertEquals } from "@std/assert";
import { countKeys, examineJson, keyGivenTwice } from "./json_text.ts";

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
