import { assert } from "@std/assert";
import { rounds } from "../environment/rounds.ts";
import { testAlone } from "../doubles/test_alone.ts";
import { runFdFuzz } from "./fd_fuzz.ts";

testAlone(
  import.meta,
  "descriptors of every kind at every message: each session is followed by a good one, and nothing leaks",
  () => {
    const report = runFdFuzz({ seed: 1, iterations: rounds(12, 10) });
    const summary = JSON.stringify(report);
    // A run that reaches nothing would prove nothing.
    assert(report.sessions >= 10, summary);
    assert(report.descriptors > 2 * report.sessions, summary);
    assert(report.pairs > 2 * report.sessions, summary);
    assert(report.started * 4 > report.sessions, summary);
    assert(report.faulty * 4 > report.sessions, summary);
  },
);
