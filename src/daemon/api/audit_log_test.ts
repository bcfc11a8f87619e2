import { assert, assertEquals } from "@std/assert";
import { AuditLog } from "./audit_log.ts";

const PEER = { pid: 7, uid: 1000, gid: 100 };

Deno.test("AuditLog.record() writes who did what, as JSON", () => {
  const lines: string[] = [];
  const log = new AuditLog((line) => lines.push(line));
  log.record(PEER, {
    action: "create",
    aggregator: "a\nb",
    outcome: "done",
    lines: ["sim/1"],
  });
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert(!Number.isNaN(Date.parse(time)));
  assertEquals(rest, {
    ...PEER,
    action: "create",
    aggregator: "a\nb",
    outcome: "done",
    lines: ["sim/1"],
  });
  assert(!lines[0]!.includes("\n"), "one line, whatever is in a name");
});

Deno.test("AuditLog.record() bounds refusals, and leaves out nothing that was done", () => {
  const lines: string[] = [];
  const log = new AuditLog((line) => lines.push(line));
  const entry = { action: "remove", aggregator: "a" } as const;
  for (let i = 0; i < 1000; i++) {
    log.record(PEER, { ...entry, outcome: "refused" });
  }
  const refused = lines.length;
  assert(refused >= 20 && refused <= 60, `${refused} refusals`);
  for (let i = 0; i < 100; i++) {
    log.record(PEER, { ...entry, outcome: "done" });
  }
  assertEquals(lines.length, refused + 100);
  assert(JSON.parse(lines[refused]!).refusalsLeftOut > 0);
});
