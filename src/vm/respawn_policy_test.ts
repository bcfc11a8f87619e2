import { assertEquals } from "@std/assert";
import { RespawnPolicy } from "./respawn_policy.ts";

const CRASH = { success: false, ranMs: 5 };

Deno.test("RespawnPolicy.delayAfter() doubles from 0.1 s to 30 s", () => {
  const policy = new RespawnPolicy("always");
  const delays = Array.from({ length: 11 }, () => policy.delayAfter(CRASH));
  assertEquals(delays.slice(0, 4), [100, 200, 400, 800]);
  assertEquals(delays.slice(-2), [30_000, 30_000]);
});

Deno.test("RespawnPolicy.delayAfter() begins anew after a good run", () => {
  const policy = new RespawnPolicy("on-failure");
  policy.delayAfter(CRASH);
  policy.delayAfter(CRASH);
  assertEquals(policy.delayAfter({ success: false, ranMs: 10_000 }), 100);
});

Deno.test("RespawnPolicy.delayAfter() obeys the rule", () => {
  const end = { success: true, ranMs: 5 };
  assertEquals(new RespawnPolicy("always").delayAfter(end), 100);
  assertEquals(new RespawnPolicy("on-failure").delayAfter(end), undefined);
  assertEquals(new RespawnPolicy("on-failure").delayAfter(CRASH), 100);
  assertEquals(new RespawnPolicy("never").delayAfter(CRASH), undefined);
});
