import { assertEquals } from "@std/assert";
import { LostEvents } from "./lost_events.ts";

Deno.test("LostEvents finds nothing lost in numbers without gaps", () => {
  const lost = new LostEvents(2);
  assertEquals([lost.note(0, 1), lost.note(1, 1), lost.note(0, 2)], [0, 0, 0]);
  assertEquals([lost.total, lost.pending], [0, false]);
});

Deno.test("LostEvents counts the gaps of each line by itself", () => {
  const lost = new LostEvents(2);
  assertEquals(lost.note(0, 4), 3, "what came before the first one seen");
  assertEquals(lost.note(1, 1), 0);
  assertEquals(lost.note(1, 7), 5);
  assertEquals(lost.total, 8);
});

Deno.test("LostEvents tells of every lost event once", () => {
  const lost = new LostEvents(1);
  lost.note(0, 3);
  lost.note(0, 6);
  assertEquals(lost.takeReport(), 4);
  assertEquals(lost.pending, false);
  lost.note(0, 8);
  assertEquals(lost.takeReport(), 1);
  assertEquals(lost.total, 5);
});

Deno.test("LostEvents follows the numbers around their end", () => {
  const lost = new LostEvents(1);
  lost.note(0, 2 ** 32 - 2);
  lost.takeReport();
  assertEquals(lost.note(0, 2 ** 32 - 1), 0);
  assertEquals(lost.note(0, 0), 0);
  assertEquals(lost.note(0, 2), 1);
});
