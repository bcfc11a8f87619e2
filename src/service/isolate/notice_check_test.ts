import { assertThrows } from "@std/assert";
import type { RecordedLines } from "../messages/messages.ts";
import type { Notice } from "./aggregator_child.ts";
import { NoticeCheck } from "./notice_check.ts";

const fault = (detail: string): Notice => ({
  kind: "event",
  event: { aggregator: "a", event: "fault", detail },
});

Deno.test("a process cannot fill the log, whatever it reports", () => {
  let now = 0;
  const check = new NoticeCheck(() => now);
  // Each aggregator's events, one a second, and its kept fds.
  for (let i = 0; i < 2000; i++) {
    check.check({ kind: "problem", text: "x" });
    check.check(fault(""));
    now += 400;
  }
  let passed = 0;
  assertThrows(
    () => {
      for (; passed < 10_000; passed++) check.check(fault("flood"));
    },
    RangeError,
    "Too many",
  );
  assertThrows(() => check.check({ kind: "problem", text: "x" }), RangeError);
  now += 1000;
  check.check(fault("again"));
  assertThrows(() => check.check(fault("x".repeat(9000))), TypeError);
  const noText = { kind: "problem", text: 7 } as unknown as Notice;
  assertThrows(() => check.check(noText), TypeError);
});

Deno.test("recorded lines that no process of ours reports are refused", () => {
  const check = new NoticeCheck();
  const lines: RecordedLines = {
    aggregator: "a",
    firstLine: 0,
    firstId: 5,
    names: ["X", ""],
    states: [8, 9],
    time: 1e9,
  };
  check.check({ kind: "recorded", lines });
  for (
    const bad of [
      { names: 7 },
      { names: ["X", 7] },
      { names: ["X", "x".repeat(2000)] },
      { names: new Array(70_000).fill("") },
      { states: [8] },
      { states: [8, "x"] },
      { firstId: -1 },
      { firstId: 0.5 },
      { firstLine: null },
      { time: null },
    ]
  ) {
    const wrong = { ...lines, ...bad } as RecordedLines;
    assertThrows(
      () => check.check({ kind: "recorded", lines: wrong }),
      TypeError,
    );
  }
});
