import { assertEquals } from "@std/assert";
import { readTime, secondsText, utcText } from "./time_text.ts";

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
  assertEquals(
    utcText(1_668_481_523_000_000_001n),
    "2022-11-15T03:05:23.000000001Z",
    "the same second",
  );
  assertEquals(utcText(35_610_047_232n), "1970-01-01T00:00:35.610047232Z");
});

Deno.test("readTime() reads what the others write, and zones", () => {
  const ns = 1_668_481_523_807_090_687n;
  assertEquals(readTime(utcText(ns)), ns);
  assertEquals(readTime(secondsText(ns)), ns);
  assertEquals(readTime("2022-11-15T04:05:23.807090687+01:00"), ns);
  assertEquals(readTime("2022-11-15T02:35:23.807090687-00:30"), ns);
  assertEquals(readTime("2022-11-15T03:05:23.8"), ns - 7_090_687n);
  assertEquals(readTime("100"), 100_000_000_000n);
  for (
    const text of [
      "",
      "-1",
      "1e3",
      "now",
      "2022-13-15T03:05:23Z",
      "2022-02-31T03:05:23Z",
      "1.",
    ]
  ) {
    assertEquals(readTime(text), undefined, text);
  }
});
