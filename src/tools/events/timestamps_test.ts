import { assertEquals, assertMatch } from "@std/assert";
import { localText, secondsText, utcText } from "./timestamps.ts";

Deno.test("secondsText() shows all nine digits", () => {
  assertEquals(secondsText(1_000_000_001n), "1.000000001");
  assertEquals(secondsText(10_002_907_638_045n), "10002.907638045");
  assertEquals(secondsText(5n), "0.000000005");
});

Deno.test("utcText() keeps the nanoseconds that a Date cannot hold", () => {
  assertEquals(
    utcText(1_668_481_523_807_090_687n),
    "2022-11-15T03:05:23.807090687Z",
  );
  assertEquals(utcText(35_610_047_232n), "1970-01-01T00:00:35.610047232Z");
});

Deno.test("localText() is the zone's date and time, without a suffix", () => {
  const ns = 1_668_481_523_807_090_687n;
  const text = localText(ns);
  assertMatch(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.807090687$/);
  // Without a suffix, Date reads it as local time: the same instant again.
  assertEquals(new Date(text).getTime(), 1_668_481_523_807);
});
