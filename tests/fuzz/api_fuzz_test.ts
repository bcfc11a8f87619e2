import { assert } from "@std/assert";
import { testSerially } from "../doubles/test_alone.ts";
import { rounds } from "../environment/rounds.ts";
import { runApiFuzz } from "./api_fuzz.ts";

testSerially(
  "hostile API clients: each gets an answer or a hang-up, and a guest is served",
  async () => {
    const report = await runApiFuzz({ seed: 1, iterations: rounds(60, 20) });
    const summary = JSON.stringify(report);
    // A run that reaches nothing would prove nothing.
    assert(report.connections >= 10, summary);
    const { statuses } = report;
    const answered = Object.values(statuses).reduce((sum, one) => sum + one, 0);
    assert(answered * 3 > report.connections, summary);
    assert((statuses["400"] ?? 0) > 0, summary);
    assert((statuses["200"] ?? 0) + (statuses["201"] ?? 0) > 0, summary);
  },
);
