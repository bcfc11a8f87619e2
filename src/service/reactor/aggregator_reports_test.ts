import { assertEquals } from "@std/assert";
import type { ReportedLine } from "../../aggregator/line_reporter.ts";
import { Deadlines } from "../../reactor/deadlines.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import type { ServiceEvent } from "../messages/messages.ts";
import { AggregatorReports } from "./aggregator_reports.ts";

function rig() {
  const deadlines = new Deadlines(() => 0);
  const loop = {
    after: (ms: number, onElapsed: () => void) =>
      deadlines.after(ms, onElapsed),
  } as EventLoop;
  const events: ServiceEvent[] = [];
  return {
    events,
    reports: new AggregatorReports("a", loop, events.push.bind(events)),
  };
}

const LINE = {
  name: "",
  lineNumber: 3,
  source: { description: "pump\x1b[2J:4" },
} as unknown as ReportedLine;

Deno.test("a rule that does not hold counts as a fault, its text escaped", () => {
  const { events, reports } = rig();
  using _reports = reports;
  reports.rulePending(LINE, "safe", "busy");
  assertEquals(events, [{
    aggregator: "a",
    event: "fault",
    detail: "line 3, pump\\x1b[2J:4: its rule (safe) does not hold: busy; " +
      "it is retried",
  }]);
  assertEquals(reports.counts.faults, 1);
  reports.ruleHolds(LINE, "safe", "2 attempts");
  assertEquals(reports.counts.faults, 1);
});

Deno.test("connections, respawns and faults are counted", () => {
  const { reports } = rig();
  using _reports = reports;
  assertEquals(reports.counts.respawns, 0);
  reports.report("connected");
  assertEquals(reports.connectedSince !== undefined, true);
  assertEquals(reports.startedSince, undefined);
  for (const end of ["stopped", "gone", "disconnected"] as const) {
    using other = rig().reports;
    other.report("started");
    assertEquals(other.startedSince !== undefined, true);
    other.report(end);
    assertEquals(other.startedSince, undefined, end);
  }
  reports.report("started");
  assertEquals(reports.counts.respawns, 0);
  reports.report("disconnected");
  assertEquals(reports.connectedSince, undefined);
  reports.report("connected");
  reports.report("started");
  reports.report("fault", "a guest's");
  assertEquals(reports.counts, {
    connections: 2,
    respawns: 1,
    faults: 1,
    eventsLeftOut: {},
  });
});
