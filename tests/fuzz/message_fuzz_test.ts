import { assert } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { runMessageFuzz } from "./message_fuzz.ts";

Deno.test("hostile messages: each bad session is followed by a good one, and nothing leaks", () => {
  const report = runMessageFuzz({ seed: 1, iterations: rounds(20, 10) });
  const summary = JSON.stringify(report);
  // A run that reaches nothing would prove nothing.
  assert(report.sessions >= rounds(20, 10), summary);
  assert(report.messages > 10 * report.sessions, summary);
  assert(report.started * 5 > report.sessions, summary);
  assert(report.faulty * 5 > report.sessions, summary);
});

Deno.test("runMessageFuzz() does the same thing again with the same seed", () => {
  const run = () => JSON.stringify(runMessageFuzz({ seed: 7, iterations: 3 }));
  const first = run();
  assert(run() === first, first);
});
