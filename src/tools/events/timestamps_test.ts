import { assertEquals, assertMatch } from "@std/assert";
import { localText } from "./timestamps.ts";

Deno.test("localText() is the zone's date and time, without a suffix", () => {
  const ns = 1_668_481_523_807_090_687n;
  const text = localText(ns);
  assertMatch(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.807090687$/);
  // Without a suffix, Date reads it as local time: the same instant again.
  assertEquals(new Date(text).getTime(), 1_668_481_523_807);
});
