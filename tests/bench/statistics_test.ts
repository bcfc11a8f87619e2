import { assertEquals, assertThrows } from "@std/assert";
import {
  besideFloor,
  median,
  medianRatio,
  quantile,
  summarize,
} from "./statistics.ts";

Deno.test("quantile() takes a value that is there", () => {
  const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
  assertEquals(quantile(sorted, 0.5), 51);
  assertEquals(quantile(sorted, 0.99), 100);
  assertEquals(quantile(sorted, 0), 1);
  assertEquals(quantile([7], 0.99), 7);
  assertThrows(() => quantile([], 0.5), RangeError);
});

Deno.test("median() of an even count lies between the two in the middle", () => {
  assertEquals(median([4, 1, 3]), 3);
  assertEquals(median([4, 1, 3, 2]), 2.5);
});

Deno.test("summarize() sorts by number", () => {
  assertEquals(summarize(Float64Array.of(10, 9, 100, 1)), {
    p50: 10,
    p99: 100,
    max: 100,
    mean: 30,
  });
});

Deno.test("medianRatio() is not moved by a round that was disturbed", () => {
  assertEquals(medianRatio([12, 11, 90], [10, 10, 75]), 1.2);
});

Deno.test("besideFloor() has the ratio of the rounds, not that of the medians", () => {
  assertEquals(besideFloor([12, 11, 90], [10, 10, 75]), {
    value: 12,
    unit: "µs",
    floor: 10,
    ratio: 1.2,
  });
  assertEquals(besideFloor([10, 40, 20], [10, 10, 40], "ms"), {
    value: 20,
    unit: "ms",
    floor: 10,
    ratio: 1,
  });
});
