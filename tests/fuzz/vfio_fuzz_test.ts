import { assert, assertEquals } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { runVfioFuzz } from "./vfio_fuzz.ts";

Deno.test("hostile vfio-user sessions leave a card that works", () => {
  const report = runVfioFuzz({ seed: 1, iterations: rounds(90, 40) });
  const summary = JSON.stringify(report);
  // A run that reaches nothing would prove nothing.
  assert(report.messages > 5 * report.sessions, summary);
  assert(report.started * 4 > report.sessions, summary);
  assert(report.ended * 10 > report.sessions, summary);
  assert(report.ended < report.sessions, summary);
});

Deno.test("runVfioFuzz() repeats a run with the same seed", () => {
  const run = () => runVfioFuzz({ seed: 7, iterations: 10 });
  assertEquals(run(), run());
});
