import { assert, assertEquals } from "@std/assert";
import { rounds } from "../../../../tests/environment/rounds.ts";
import { testLarge } from "../../../../tests/doubles/test_large.ts";
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

Deno.test("AuditLog.record() writes entries of a bounded length, harmless to a terminal", () => {
  const lines: string[] = [];
  const log = new AuditLog((line) => lines.push(line));
  const long = "\x1b\x9b\u202ex".repeat(10_000);
  log.record(PEER, {
    action: "create",
    aggregator: long,
    outcome: "failed",
    reason: long,
    presentation: long,
    lines: Array.from({ length: 5000 }, (_, i) => `sim/${i}${long}`),
  });
  log.record(PEER, {
    action: "create",
    aggregator: "plc0",
    outcome: "done",
    lines: Array.from({ length: 4096 }, (_, i) => `gpiochip0/${i}`),
  });
  for (const line of lines) {
    assert(line.length < 4000, `${line.length}`);
    assert(!/[\p{Cc}\p{Cf}]/u.test(line), line);
  }
  const [hostile, many] = lines.map((line) => JSON.parse(line));
  assert(hostile.aggregator.startsWith("\x1b\x9b\u202ex"));
  assert(hostile.aggregator.endsWith("…"));
  assertEquals(many.lines[1], "gpiochip0/1");
  assertEquals(many.lines.at(-1), `… ${4096 - (many.lines.length - 1)} more`);
});

testLarge(
  "AuditLog.record() bounds what refusals take of the disk, of one user and of all",
  () => {
    let bytes = 0;
    let now = 0;
    const log = new AuditLog((line) => bytes += line.length + 1, () => now);
    const seconds = rounds(300, 60);
    const refuse = (uid: number) => {
      log.record({ ...PEER, uid }, {
        action: "remove",
        aggregator: "\x01".repeat(5000),
        outcome: "refused",
        reason: "x".repeat(5000),
      });
    };
    for (let second = 0; second < seconds; second++, now += 1000) {
      for (let i = 0; i < 25; i++) refuse(1000);
    }
    assert(bytes < 64 * 1024 + seconds * 600, `${bytes} bytes of one user`);
    bytes = 0;
    const moments = rounds(60, 20);
    for (let second = 0; second < moments; second++, now += 1000) {
      for (let uid = 0; uid < 100; uid++) refuse(uid);
    }
    assert(bytes < 256 * 1024 + moments * 4500, `${bytes} bytes of all`);
    // What is done is written all the same.
    const before = bytes;
    log.record(PEER, { action: "remove", aggregator: "a", outcome: "done" });
    assert(bytes > before);
  },
);

/** A log whose clock stands until it is moved. */
function rig() {
  const lines: string[] = [];
  let now = 0;
  const log = new AuditLog((line) => lines.push(line), () => now);
  const entry = { action: "remove", aggregator: "a" } as const;
  return {
    refuse: (uid: number, times = 1) => {
      for (let i = 0; i < times; i++) {
        log.record({ ...PEER, uid }, { ...entry, outcome: "refused" });
      }
    },
    done: (uid: number) =>
      log.record({ ...PEER, uid }, { ...entry, outcome: "done" }),
    nextSecond: () => now += 1000,
    written: () => lines.splice(0).map((line) => JSON.parse(line)),
  };
}

Deno.test("AuditLog.record() bounds refusals, and leaves out nothing that was done", () => {
  const { refuse, done, nextSecond, written } = rig();
  refuse(1000, 1000);
  assertEquals(written().length, 20);
  for (let i = 0; i < 100; i++) done(1000);
  const [first, ...others] = written();
  assertEquals(first.refusalsLeftOut, 980);
  assertEquals(others.length, 99);
  assert(others.every((entry) => !("refusalsLeftOut" in entry)));
  nextSecond();
  refuse(1000, 1000);
  nextSecond();
  refuse(1000);
  assertEquals(written().at(-1).refusalsLeftOut, 980);
});

Deno.test("AuditLog.record() keeps one user's flood from hiding another's refusals", () => {
  const { refuse, done, written } = rig();
  refuse(1000, 1000);
  written();
  refuse(2000, 2);
  done(3000);
  assertEquals(
    written().map(({ uid, refusalsLeftOut }) => [uid, refusalsLeftOut]),
    [[2000, undefined], [2000, undefined], [3000, undefined]],
    "what is left out is told of whom it is left out",
  );
});

Deno.test("AuditLog.record() counts a bounded number of users apart", () => {
  const { refuse, nextSecond, written } = rig();
  for (let uid = 0; uid < 10_000; uid++) refuse(uid);
  assertEquals(written().length, 32 + 20, "the others share");
  nextSecond();
  // The others have their own again, as soon as one is quiet.
  refuse(20_000, 1000);
  assertEquals(written().length, 20);
});
