import { assertEquals } from "@std/assert";
import { Urgency } from "./urgency.ts";

function rig() {
  const set: boolean[] = [];
  const clock = { us: 0x7fff_ff00 };
  const urgency = new Urgency(
    () => clock.us | 0,
    (isRaised) => void set.push(isRaised),
  );
  return { clock, set, urgency };
}

Deno.test("Urgency raises the priority once, and keeps it while there are waits", () => {
  const { clock, set, urgency } = rig();
  for (let i = 0; i < 10; i++) {
    urgency.turn(true);
    for (let j = 0; j < 3; j++) {
      urgency.turn(false);
      clock.us += 600;
    }
  }
  assertEquals(set, [true]);
});

/** Turns without a wait, for a time. **Units**: milliseconds. */
function spell({ clock, urgency }: ReturnType<typeof rig>, ms: number): void {
  for (let us = 0; us <= ms * 1000; us += 500) {
    urgency.turn(false);
    clock.us += 500;
  }
}

Deno.test("Urgency takes it back without a wait for 12 ms, and gives it after 100 ms of calm", () => {
  const test = rig();
  const { clock, set, urgency } = test;
  urgency.turn(true);
  spell(test, 12);
  assertEquals(set, [true, false]);
  // Waits between spells are not calm.
  for (let i = 0; i < 50; i++) {
    clock.us += 20_000;
    urgency.turn(true);
    spell(test, 6);
  }
  assertEquals(set, [true, false]);
  clock.us += 100_000;
  urgency.turn(true);
  urgency.turn(false);
  assertEquals(set, [true, false, true]);
});

Deno.test("Urgency keeps it over spells that are a twentieth of the time, not over a tenth", () => {
  const seldom = rig();
  seldom.urgency.turn(true);
  for (let i = 0; i < 100; i++) {
    spell(seldom, 5);
    seldom.clock.us += 95_000;
    seldom.urgency.turn(true);
  }
  assertEquals(seldom.set, [true]);
  const often = rig();
  often.urgency.turn(true);
  for (let i = 0; i < 10; i++) {
    spell(often, 10);
    often.clock.us += 90_000;
    often.urgency.turn(true);
  }
  assertEquals(often.set.slice(0, 2), [true, false]);
});
