import { assertEquals } from "@std/assert";
import type { LineChanges } from "../messages/messages.ts";
import { ChangesOutbox } from "./changes_outbox.ts";

const line = (lineNumber: number, changes: number, value: 0 | 1) => ({
  lineNumber,
  name: "",
  direction: "output" as const,
  value,
  changes,
});

Deno.test("ChangesOutbox makes one report of those that wait", () => {
  const sent: LineChanges[] = [];
  const taken: (() => void)[] = [];
  const outbox = new ChangesOutbox((changes, isTaken) => {
    sent.push(changes);
    taken.push(isTaken);
  });
  const take = () => taken.shift()!();
  outbox.add({ aggregator: "a", lines: [line(0, 1, 1)] });
  for (let i = 0; i < 1000; i++) {
    outbox.add({ aggregator: "a", lines: [line(i % 2, 2, 0)] });
  }
  outbox.add({ aggregator: "b", lines: [line(7, 1, 1)] });
  assertEquals(sent, [{ aggregator: "a", lines: [line(0, 1, 1)] }]);
  take();
  assertEquals(sent[1], {
    aggregator: "a",
    lines: [line(0, 1000, 0), line(1, 1000, 0)],
  });
  take();
  assertEquals(sent[2], { aggregator: "b", lines: [line(7, 1, 1)] });
  take();
  assertEquals([sent.length, taken.length], [3, 0]);
});

Deno.test("ChangesOutbox sends what is taken at once, many lines in parts", () => {
  const sizes: number[] = [];
  const outbox = new ChangesOutbox(({ lines }, isTaken) => {
    sizes.push(lines.length);
    isTaken();
  });
  outbox.add({
    aggregator: "a",
    lines: Array.from({ length: 150 }, (_, i) => line(i, 1, 1)),
  });
  assertEquals(sizes, [64, 64, 22]);
});
