import { assertEquals } from "@std/assert";
import type { Line } from "../../client/protocol.ts";
import {
  type AggregatorDescription,
  type Answer,
  joinAnswer,
} from "./messages.ts";

const line = (lineNumber: number): Line => ({
  lineNumber,
  name: "",
  source: "simulated line",
  direction: "input",
});
const aggregator = (
  name: string,
  lines: Line[],
): AggregatorDescription => ({
  name,
  presentation: "",
  connected: false,
  lines,
});

Deno.test("joinAnswer() gives each part's lines to the aggregator before it", () => {
  const parts: Answer[] = [
    { aggregators: [aggregator("a", [line(0), line(1)])] },
    { aggregators: [], moreLines: [line(2), line(3)] },
    { aggregators: [], moreLines: [line(4)] },
    { aggregators: [aggregator("b", [line(0)])] },
    { aggregators: [], unsafe: [] },
  ];
  assertEquals(joinAnswer(parts), {
    aggregators: [
      aggregator("a", [0, 1, 2, 3, 4].map(line)),
      aggregator("b", [line(0)]),
    ],
    unsafe: [],
  });
});
