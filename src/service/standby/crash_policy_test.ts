import { assertEquals } from "@std/assert";
import { CrashPolicy } from "./crash_policy.ts";

Deno.test("CrashPolicy follows a crash at once, a crash loop later each time, and then no more", () => {
  const policy = new CrashPolicy();
  const delays = [0, 1, 2, 3, 4, 29].map((seconds) =>
    policy.delayAfterCrash(1000 * seconds, false)
  );
  assertEquals(delays, [0, 100, 200, 400, 800, undefined]);
});

Deno.test("CrashPolicy forgets quick crashes of half a minute ago", () => {
  const policy = new CrashPolicy();
  const delays = [0, 1, 30, 32, 60].map((seconds) =>
    policy.delayAfterCrash(1000 * seconds, false)
  );
  assertEquals(delays, [0, 100, 100, 100, 100]);
  assertEquals(policy.delayAfterCrash(120_000, false), 0);
});

Deno.test("CrashPolicy ends a loop of crashes that the next process is always ready for", () => {
  const policy = new CrashPolicy();
  const delayOf = (crash: number) => policy.delayAfterCrash(5000 * crash, true);
  for (let crash = 0; crash < 25; crash++) assertEquals(delayOf(crash), 0);
  assertEquals([25, 26, 27, 28, 29].map(delayOf), [
    ...[1000, 2000, 4000, 8000, 16_000],
  ]);
  assertEquals(delayOf(30), undefined);
  // Quick ones are among them.
  assertEquals(policy.delayAfterCrash(160_000, false), undefined);
});

Deno.test("CrashPolicy follows crashes at once that are half a minute apart, without end", () => {
  const policy = new CrashPolicy();
  for (let crash = 0; crash < 200; crash++) {
    assertEquals(policy.delayAfterCrash(30_000 * crash, true), 0);
  }
});
