import { assertAlmostEquals, assertEquals } from "@std/assert";
import { TURN_BOUNDS, TurnTimes } from "./turn_times.ts";

Deno.test("TurnTimes.add() counts each turn in the bucket of its time", () => {
  const times = new TurnTimes();
  times.add(0); // at once
  times.add(0.001); // 1 µs: a bound belongs to its bucket
  times.add(0.0015);
  times.add(5000); // beyond all bounds
  const { buckets, sum } = times.counts;
  assertEquals(buckets.length, TURN_BOUNDS.length + 1);
  assertEquals([buckets[0], buckets[1], buckets.at(-1)], [2, 1, 1]);
  assertAlmostEquals(sum, 5.0000025, 1e-9);
});
