import { assert, assertEquals } from "@std/assert";
import { testAlone } from "../doubles/test_alone.ts";
import { runQemuFuzz } from "./qemu_fuzz.ts";

testAlone(
  import.meta,
  "hostile QEMUs: each is followed by a good one, is sent few commands, and leaves nothing",
  () => {
    const report = runQemuFuzz({
      seed: 1,
      iterations: 12,
      countsFds: true,
    });
    const summary = JSON.stringify(report);
    // A run that reaches nothing would prove nothing.
    assert(report.sessions >= 10, summary);
    assert(report.commands > 10 * report.sessions, summary);
    assert(report.tests > report.sessions, summary);
    assert(report.connected * 5 > report.sessions, summary);
    assert(report.faulty * 5 > report.sessions, summary);
  },
);

Deno.test("runQemuFuzz() does the same thing again with the same seed", () => {
  const run = () => JSON.stringify(runQemuFuzz({ seed: 7, iterations: 3 }));
  assertEquals(run(), run());
});
