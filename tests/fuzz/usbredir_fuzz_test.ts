import { assert } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { runUsbredirFuzz } from "./usbredir_fuzz.ts";

Deno.test("hostile USB hosts: each leaves the lines, and is followed by a good one", () => {
  const report = runUsbredirFuzz({ seed: 1, iterations: rounds(200, 80) });
  const summary = JSON.stringify(report);
  // A run that reaches nothing would prove nothing.
  assert(report.packets > 10 * report.sessions, summary);
  assert(report.answered * 3 > report.packets, summary);
  assert(report.requests > report.sessions, summary);
  assert(report.restarts * 5 > report.sessions, summary);
  assert(report.ended * 10 > report.sessions, summary);
  assert(report.ended < report.sessions, summary);
  assert(report.broken * 20 > report.sessions, summary);
});

Deno.test("runUsbredirFuzz() does the same thing again with the same seed", () => {
  const run = () => JSON.stringify(runUsbredirFuzz({ seed: 7, iterations: 9 }));
  const first = run();
  assert(run() === first, first);
});
