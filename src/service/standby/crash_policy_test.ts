import { assertEquals } from "@std/assert";
import { CrashPolicy } from "./crash_policy.ts";

Deno.test("CrashPolicy follows a crash at once, a crash loop later each time, and then no more", () => {
  const policy = new CrashPolicy();
  const delays = [0, 1, 2, 3, 4, 29].map((seconds) =>
    policy.delayAfterCrash(1000 * seconds)
  );
  assertEquals(delays, [0, 100, 200, 400, 800, undefined]);
});

Deno.test("CrashPolicy forgets crashes of half a minute ago", () => {
  const policy = new CrashPolicy();
  const delays = [0, 1, 30, 32, 60].map((seconds) =>
    policy.delayAfterCrash(1000 * seconds)
  );
  assertEquals(delays, [0, 100, 100, 100, 100]);
  assertEquals(policy.delayAfterCrash(120_000), 0);
});
