import { assertEquals, assertThrows } from "@std/assert";
import { GuestClock, type Moment, narrowest } from "./guest_clock.ts";

/** A guest that began 1000 ns later; its clock goes twice as fast. */
function moment(host: number, width: number, error = 0): Moment {
  return { guest: 2 * (host - 1000), host: host + error, width };
}

Deno.test("narrowest() takes the middle of the shortest ping-pong", () => {
  const readings = [
    { before: 0, guest: 7, after: 100 },
    { before: 200, guest: 9, after: 210 },
    { before: 300, guest: 11, after: 330 },
  ];
  assertEquals(narrowest(readings), { guest: 9, host: 205, width: 10 });
  assertThrows(() => narrowest([]), RangeError);
});

Deno.test("GuestClock goes at the speed that two moments show", () => {
  const clock = new GuestClock(moment(2000, 4), moment(6000, 10));
  assertEquals(clock.hostTime(2000), 2000);
  assertEquals(clock.hostTime(7000), 4500);
  assertEquals(clock.hostTime(12_000), 7000);
  assertEquals(clock.uncertainty, 5);
});

Deno.test("GuestClock counts how far a moment in between is off", () => {
  const ends = [moment(2000, 4), moment(6000, 10)] as const;
  const even = new GuestClock(...ends, [moment(3000, 12)]);
  assertEquals(even.uncertainty, 6);
  const uneven = new GuestClock(...ends, [moment(3000, 2, -70)]);
  assertEquals(uneven.uncertainty, 75);
});

Deno.test("GuestClock refuses a clock that stands still", () => {
  const { guest, width } = moment(2000, 4);
  const later = { guest, host: 6000, width };
  assertThrows(() => new GuestClock(moment(2000, 4), later), RangeError);
});
