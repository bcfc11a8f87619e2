import { assert } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { runUsbipFuzz } from "./usbip_fuzz.ts";

Deno.test("hostile kernels: each transfer has one answer, and lines are left", () => {
  const report = runUsbipFuzz({ seed: 1, iterations: rounds(200, 80) });
  const summary = JSON.stringify(report);
  // A run that reaches nothing would prove nothing.
  assert(report.messages > 10 * report.sessions, summary);
  assert(report.answered * 3 > report.messages, summary);
  assert(report.unlinked > report.sessions, summary);
  assert(report.requests > report.sessions, summary);
  assert(report.ended * 10 > report.sessions, summary);
  assert(report.ended < report.sessions, summary);
});

Deno.test("runUsbipFuzz() does the same thing again with the same seed", () => {
  const run = () => JSON.stringify(runUsbipFuzz({ seed: 7, iterations: 9 }));
  const first = run();
  assert(run() === first, first);
});
