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

Deno.test("Urgency takes it back without a wait for 2 ms, and gives it with the next one", () => {
  const { clock, set, urgency } = rig();
  urgency.turn(true);
  for (let i = 0; i < 10; i++) {
    urgency.turn(false);
    clock.us += 600;
  }
  assertEquals(set, [true, false]);
  urgency.turn(true);
  urgency.turn(false);
  assertEquals(set, [true, false, true]);
});
