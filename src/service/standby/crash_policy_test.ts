import { assertEquals } from "@std/assert";
import { CrashPolicy } from "./crash_policy.ts";

Deno.test("CrashPolicy follows a crash at once, a crash loop later each time, and then no more", () => {
  const policy = new CrashPolicy();
  const delays = [0, 1, 2, 3, 4, 5].map(() => policy.delayAfterCrash(9_999));
  assertEquals(delays, [0, 100, 200, 400, 800, undefined]);
});

Deno.test("CrashPolicy forgets crashes before a steady service", () => {
  const policy = new CrashPolicy();
  for (let i = 0; i < 4; i++) policy.delayAfterCrash(0);
  assertEquals(policy.delayAfterCrash(10_000), 0);
  assertEquals(policy.delayAfterCrash(0), 100);
});
