import { assert, assertEquals } from "@std/assert";
import { clockNs, monotonicUs, threadUs } from "./clock.ts";
import { localTime } from "./clock.ts";

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

Deno.test("monotonicUs() counts microseconds of the monotonic clock", () => {
  const before = Number(clockNs("monotonic") / 1000n) | 0;
  const between = monotonicUs();
  const after = Number(clockNs("monotonic") / 1000n) | 0;
  assertEquals((between - before | 0) >= 0, true);
  assertEquals((after - between | 0) >= 0, true);
});

Deno.test("localTime() knows zones by name and by POSIX rule", () => {
  const before = Deno.env.get("TZ");
  const at = (zone: string, seconds: number) => {
    Deno.env.set("TZ", zone);
    const { month, day, hour, minute } = localTime(BigInt(seconds));
    return `${month}-${day} ${hour}:${minute}`;
  };
  // 2026-03-29 00:59:00 and 01:00:00 UTC, when summer begins in Europe.
  const WINTER = 1774745940;
  const SUMMER = 1774746000;
  try {
    for (
      const zone of [
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "<+01>-1<+02>,M3.5.0,M10.5.0/3",
      ]
    ) {
      assertEquals(at(zone, WINTER), "3-29 1:59");
      assertEquals(at(zone, SUMMER), "3-29 3:0");
    }
    assertEquals(at("<+0330>-3:30", WINTER), "3-29 4:29");
    assertEquals(at("UTC0", WINTER), "3-29 0:59");
    assertEquals(at("EST5", 0), "12-31 19:0");
  } finally {
    if (before === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", before);
  }
});

Deno.test("threadUs() counts work of this thread, and no more than passes", () => {
  const [wall, own] = [monotonicUs(), threadUs()];
  while (((threadUs() - own) | 0) < 1000);
  // Each reading cuts off less than one microsecond.
  assertEquals(((monotonicUs() - wall) | 0) >= 999, true);
});
