import { assertEquals, assertThrows } from "@std/assert";
import { parsePeriodUs } from "../../config/values/values.ts";
import {
  formatPeriod,
  parseCount,
  parseNumber,
  parsePeriod,
  periodUs,
} from "./numbers.ts";
import { ToolError } from "./tool_error.ts";

Deno.test("periodUs() takes milliseconds unless a unit is named", () => {
  assertEquals(periodUs("10"), 10_000);
  assertEquals(periodUs("10ms"), 10_000);
  assertEquals(periodUs("10us"), 10);
  assertEquals(periodUs("2s"), 2_000_000);
  assertEquals(periodUs("1m"), 60_000_000);
  assertEquals(periodUs("0"), 0);
  assertEquals(periodUs(" +5"), 5000);
});

Deno.test("periodUs() takes every period that a SPEC takes", () => {
  for (const text of ["1.5", "0.25s", "1.5ms", "2min", "1h", "0.0001ms"]) {
    assertEquals(periodUs(text), parsePeriodUs(text)!, text);
  }
});

Deno.test("periodUs() refuses what is no period", () => {
  for (
    const text of ["", "ms", "1ns", "-5", "1.", ".5", "0x5", "5 ", "1m2", "10d"]
  ) assertEquals(periodUs(text), undefined, text);
});

Deno.test("periodUs() refuses what no counter can hold", () => {
  assertEquals(periodUs("9223372036854s"), 9223372036854000000);
  assertEquals(periodUs("9223372036854775808us"), undefined);
  assertEquals(periodUs("99999999999999999999"), undefined);
});

Deno.test("parsePeriod() says which text is no period", () => {
  assertEquals(
    assertThrows(() => parsePeriod("bad"), ToolError).lines,
    ["invalid period: bad"],
  );
});

Deno.test("parseNumber() takes decimal numbers that fit an int", () => {
  assertEquals(parseNumber("2147483647"), 2147483647);
  assertEquals(parseNumber("2147483648"), undefined);
  assertEquals(parseNumber("00"), 0);
  assertEquals(parseNumber("+1"), 1);
  for (const text of ["", "-1", "1x", "0x1", "foo", "1 "]) {
    assertEquals(parseNumber(text), undefined, text);
  }
});

Deno.test("parseCount() says which text is no number", () => {
  assertEquals(parseCount("3"), 3);
  assertEquals(
    assertThrows(() => parseCount("-1"), ToolError).lines,
    ["invalid number: '-1'"],
  );
});

Deno.test("formatPeriod() uses the largest unit that is exact", () => {
  assertEquals(formatPeriod(10_000), "10ms");
  assertEquals(formatPeriod(1500), "1500us");
  assertEquals(formatPeriod(2_000_000), "2s");
  assertEquals(formatPeriod(60_000_000), "60s");
});
