import { assertEquals } from "@std/assert";
import {
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { pinRetryMs } from "./pin_requests.ts";

function makeLines(spec: string): AggregatorLine[] {
  return parseLineSpec(spec).map((specification) =>
    new AggregatorLine("T", specification, new SourceDouble(), new LoopDouble())
  );
}

Deno.test("a rejected level is retried after a second, and after a longer min-interval", () => {
  const cases: [string, number][] = [
    ["sim/1", 1000],
    ["sim/1,min-interval=100ms", 1000],
    ["sim/1,min-interval=3s", 3000],
  ];
  for (const [spec, delay] of cases) {
    const lines = makeLines(spec);
    for (const level of [0, 1]) {
      assertEquals(pinRetryMs({ lines }, lines[0]!, level), delay);
    }
  }
});

Deno.test("no level is retried beside a line that watches its guest's silence", () => {
  const lines = [
    ...makeLines("sim/1"),
    ...makeLines("sim/1,safe=0,safe-after=2s"),
  ];
  for (const line of lines) {
    assertEquals(pinRetryMs({ lines }, line, 0), undefined);
  }
});

Deno.test("an interlocked line never becomes active by a retry", () => {
  const lines = makeLines("sim/1");
  lines[0]!.interlocked("press.T");
  assertEquals([0, 1].map((level) => pinRetryMs({ lines }, lines[0]!, level)), [
    1000,
    undefined,
  ]);
});
