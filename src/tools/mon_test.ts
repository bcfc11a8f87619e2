import { assertEquals, assertThrows } from "@std/assert";
import { OsError } from "../../ffi/os_error.ts";
import type { EventClock } from "../gpio/line_settings.ts";
import { withEventClock } from "./mon.ts";

/** A kernel that refuses some clocks. */
function kernel(errno: number, ...refused: EventClock[]) {
  return (clock: EventClock) => {
    if (refused.includes(clock)) throw new OsError("ioctl", errno, "lines");
    return `lines by ${clock}`;
  };
}

Deno.test("--utc of a kernel without a realtime clock takes the monotonic one", () => {
  const EINVAL = 22;
  assertEquals(withEventClock("realtime", false, kernel(EINVAL, "realtime")), {
    groups: "lines by monotonic",
    clock: "monotonic",
    isSubstitute: true,
  });
  assertEquals(withEventClock("realtime", false, kernel(EINVAL)), {
    groups: "lines by realtime",
    clock: "realtime",
    isSubstitute: false,
  });
});

Deno.test("no other clock stands in for one that was asked for by name", () => {
  for (
    const [clock, isExplicit, errno] of [
      ["realtime", true, 22],
      ["realtime", false, 16],
      ["hte", false, 95],
    ] as const
  ) {
    assertThrows(
      () => withEventClock(clock, isExplicit, kernel(errno, clock)),
      OsError,
    );
  }
});
