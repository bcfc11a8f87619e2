import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  DURATION_BOUNDS,
  DURATION_STRIDE,
  RequestTimes,
} from "./request_times.ts";

/** Histograms of two lines, and their clock in milliseconds. */
function rig() {
  const clock = { now: 1000, looks: 0 };
  const times = new RequestTimes(2, () => {
    clock.looks++;
    return clock.now;
  });
  return {
    clock,
    times,
    /** Buckets that are not empty, as pairs of bound and count. */
    histogram: (line: number) =>
      [...times.buckets.slice(line * DURATION_STRIDE).slice(0, DURATION_STRIDE)]
        .flatMap((count, i) =>
          count > 0 ? [[DURATION_BOUNDS[i] ?? Infinity, count]] : []
        ),
  };
}

Deno.test("RequestTimes books a turn's answers with two looks at the clock", () => {
  const { clock, times, histogram } = rig();
  times.begin();
  times.answered(0);
  times.answered(1);
  times.answered(1);
  assertEquals(histogram(0), []);
  clock.now += 0.015;
  times.published(false);
  assertEquals(histogram(0), []);
  times.published(true);
  times.published(true);
  assertEquals(clock.looks, 2);
  assertEquals(histogram(0), [[2e-5, 1]]);
  assertEquals(histogram(1), [[2e-5, 2]]);
  assertAlmostEquals(times.sums[0]!, 1.5e-5, 1e-9);
  assertAlmostEquals(times.sums[1]!, 3e-5, 1e-9);
});

Deno.test("RequestTimes measures what arrived earlier from its arrival", () => {
  const { clock, times, histogram } = rig();
  times.begin();
  const arrivals = new Float64Array(4);
  times.keepArrival(arrivals, 2);
  clock.now += 40;
  times.begin();
  times.answered(0);
  times.answeredLate(0, arrivals, 2);
  times.answered(0);
  times.published(true);
  assertEquals(histogram(0), [[1e-6, 2], [1e-1, 1]]);
  assertAlmostEquals(times.sums[0]!, 0.04, 1e-9);
});

Deno.test("RequestTimes books what a long turn has published before it ends", () => {
  const { clock, times, histogram } = rig();
  times.begin();
  for (let batch = 0; batch < 4; batch++) {
    for (let i = 0; i < 16; i++) times.answered(0);
    clock.now += 0.004;
    times.published(false);
  }
  // Every other batch; what comes after a look is measured from there.
  assertEquals(clock.looks, 3);
  assertEquals(histogram(0), [[1e-5, 64]]);
});

Deno.test("RequestTimes has a bucket for each bound, which belongs to it, and one beyond", () => {
  for (const [i, bound] of [...DURATION_BOUNDS, Infinity].entries()) {
    let now = 0;
    const times = new RequestTimes(1, () => now);
    times.begin();
    times.answered(0);
    now = Math.min(bound, 5) * 1000;
    times.published(true);
    assertEquals(times.buckets.indexOf(1), i);
  }
});

Deno.test("RequestTimes loses no answer of a turn that has more than fit", () => {
  const { times, histogram } = rig();
  times.begin();
  for (let i = 0; i < 1000; i++) times.answered(i & 1);
  times.published(true);
  assertEquals(histogram(0), [[1e-6, 500]]);
  assertEquals(histogram(1), [[1e-6, 500]]);
});
