import { assert } from "@std/assert";
import { clockNs } from "./clock.ts";

Deno.test("clockNs() tells the wall clock's time", () => {
  const before = Date.now();
  const ms = Number(clockNs("realtime") / 1_000_000n);
  assert(ms >= before && ms <= Date.now(), `${ms} is not now`);
});

Deno.test("clockNs() tells a time that never goes back", () => {
  let last = clockNs("monotonic");
  for (let i = 0; i < 1000; i++) {
    const now = clockNs("monotonic");
    assert(now >= last);
    last = now;
  }
});
