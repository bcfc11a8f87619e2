import { assert, assertEquals } from "@std/assert";
import { bannerText, Limits, pollMs } from "./event_options.ts";

Deno.test("bannerText() names the lines as libgpiod does", () => {
  assertEquals(bannerText("Watching", ["foo"]), "Watching line 'foo'...\n");
  assertEquals(
    bannerText("Monitoring", ["1", "b"]),
    "Monitoring lines '1', and 'b'...\n",
  );
  assertEquals(
    bannerText("Setting", ["1", "b", "c"]),
    "Setting lines '1', 'b', and 'c'...\n",
  );
});

Deno.test("Limits count events down", () => {
  const limits = new Limits(3, 0);
  limits.count(2);
  assertEquals([limits.eventsLeft, limits.waitMs], [1, Infinity]);
  const endless = new Limits(0, 0);
  endless.count(1000);
  assertEquals(endless.eventsLeft, Infinity);
});

Deno.test("Limits let each event begin a new idle time", async () => {
  const limits = new Limits(0, 60_000_000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const left = limits.waitMs;
  assert(left <= 59_980 + 1, `${left}`);
  limits.count(1);
  assert(limits.waitMs > left);
});

Deno.test("pollMs() gives what poll understands", () => {
  assertEquals(pollMs(Infinity), -1);
  assertEquals(pollMs(0.25), 1);
  assertEquals(pollMs(1e12), 2 ** 31 - 1);
});
