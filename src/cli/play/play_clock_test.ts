import { assertEquals } from "@std/assert";
import { PlayClock } from "./play_clock.ts";

const HOUR_NS = 3_600_000_000_000n;

Deno.test("a wall clock that is set does not change the clock of a play", () => {
  let monotonic = 5_000_000n;
  let offset = 1_764_000_000_000_000_000n;
  const clock = new PlayClock({
    nowNs: () => monotonic,
    wallOffsetNs: () => offset,
  });
  const begin = clock.nowNs;
  assertEquals([begin, clock.stepNs()], [1_764_000_000_005_000_000n, 0n]);
  for (const step of [HOUR_NS, -HOUR_NS]) {
    offset += step;
    monotonic += 1000n;
    assertEquals(clock.stepNs(), step > 0n ? HOUR_NS : 0n);
  }
  assertEquals(clock.nowNs - begin, 2000n);
  offset -= HOUR_NS;
  assertEquals(clock.stepNs(), -HOUR_NS);
  // The kernel's correction of its speed is no step.
  offset += HOUR_NS + 900_000n;
  assertEquals(clock.stepNs(), 0n);
});

Deno.test("without clocks of a test it is the kernel's", () => {
  const clock = new PlayClock();
  const ms = Number(clock.nowNs / 1_000_000n);
  assertEquals(Math.abs(ms - Date.now()) < 60_000, true);
});
