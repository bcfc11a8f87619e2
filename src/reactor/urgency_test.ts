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

Deno.test("Urgency takes it back without a wait for 2 ms, and gives it after 100 ms of calm", () => {
  const { clock, set, urgency } = rig();
  const busy = () => {
    for (let i = 0; i < 10; i++) {
      urgency.turn(false);
      clock.us += 600;
    }
  };
  urgency.turn(true);
  busy();
  assertEquals(set, [true, false]);
  // Waits between such spells are not calm.
  for (let i = 0; i < 50; i++) {
    clock.us += 20_000;
    urgency.turn(true);
    busy();
  }
  assertEquals(set, [true, false]);
  clock.us += 100_000;
  urgency.turn(true);
  urgency.turn(false);
  assertEquals(set, [true, false, true]);
});
