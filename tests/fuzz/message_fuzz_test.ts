import { assert } from "@std/assert";
import { runMessageFuzz } from "./message_fuzz.ts";

Deno.test("hostile messages: each bad session is followed by a good one, and nothing leaks", () => {
  const report = runMessageFuzz({ seed: 1, iterations: 20 });
  const summary = JSON.stringify(report);
  // A run that reaches nothing would prove nothing.
  assert(report.sessions >= 20, summary);
  assert(report.messages > 10 * report.sessions, summary);
  assert(report.started * 5 > report.sessions, summary);
  assert(report.faulty * 5 > report.sessions, summary);
});

Deno.test("runMessageFuzz() does the same thing again with the same seed", () => {
  const run = () => JSON.stringify(runMessageFuzz({ seed: 7, iterations: 5 }));
  const first = run();
  assert(run() === first, first);
});
