import { assertEquals } from "@std/assert";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import { Direction, FAILED, LineOperation, PENDING } from "../line/port.ts";
import { LoopDouble } from "../../tests/doubles/line_doubles.ts";
import { AggregatorLine } from "./aggregator_line.ts";
import { startStep } from "./rules/rule_steps.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";

/** A source that logs what it is asked and answers what it is told to. */
class SourceDouble implements LineSource {
  readonly description = "double";
  readonly name = "";
  direction: Direction = Direction.Input;
  result = 0;
  readonly log: string[] = [];
  listener: SourceListener | undefined;

  attach(listener: SourceListener) {
    this.listener = listener;
  }
  submit(operation: SourceOperation, argument: number): number {
    const [name] = Object.entries(SourceOperation).find(([, code]) =>
      code === operation
    )!;
    this.log.push(`${name} ${argument}`);
    if (operation === LineOperation.Output) this.direction = Direction.Output;
    return this.result;
  }
  peek() {
    return 0;
  }
  [Symbol.dispose]() {
    this.log.push("dispose");
  }
}

function rig(rules = "") {
  const [specification] = parseLineSpec(`sim/1${rules}`);
  const source = new SourceDouble();
  const line = new AggregatorLine(
    "A",
    specification!,
    source,
    new LoopDouble(),
  );
  const completed: string[] = [];
  line.attach({
    completed: (lineNumber, result) =>
      completed.push(`${lineNumber}: ${result}`),
    edge: (lineNumber, level) => completed.push(`${lineNumber}! ${level}`),
  }, 7);
  return { line, source, completed };
}

Deno.test("AggregatorLine refuses a direction that its rule forbids", () => {
  const input = rig(",direction=input");
  assertEquals(input.line.submit(LineOperation.Output, 1), FAILED);
  assertEquals(input.line.submit(LineOperation.Input, 0), 0);
  assertEquals(input.source.log, ["Input 0"]);
  const output = rig(",direction=output");
  assertEquals(output.line.submit(LineOperation.Input, 0), FAILED);
  assertEquals(output.line.submit(LineOperation.Output, 1), 0);
  assertEquals(output.source.log, ["Output 1"]);
});

Deno.test("AggregatorLine reports edges and completions under its listener's number", () => {
  const { line, source, completed } = rig();
  source.result = PENDING;
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  source.listener!.completed(1);
  source.listener!.edge(0);
  assertEquals(completed, ["7: 1", "7! 0"]);
});

Deno.test("AggregatorLine keeps its own number, whichever its listener gave", () => {
  const { line, source, completed } = rig();
  line.edges.lineNumber = 11;
  const listener = {
    completed: (number: number) => completed.push(`done ${number}`),
    edge: (number: number) => completed.push(`edge ${number}`),
    restored: (number: number) => completed.push(`back ${number}`),
  };
  line.attach(listener, 3);
  const changed: number[] = [];
  line.observe({ lineChanged: (number) => changed.push(number) });
  source.result = PENDING;
  line.submit(LineOperation.SetEdges, 3);
  source.listener!.completed(0);
  source.listener!.edge(1);
  source.listener!.presence(true);
  line.restored();
  assertEquals(line.lineNumber, 11);
  assertEquals([...new Set(changed)], [11]);
  assertEquals(new Set(completed), new Set(["done 3", "edge 3", "back 3"]));
});

const RULES: readonly (readonly [string, string[]])[] = [
  ["", []],
  [",on-disconnect=keep", []],
  [",safe=1", ["SetValue 1"]],
  [",safe=0", ["SetValue 0"]],
  [",on-disconnect=input", ["Input 0"]],
  [",on-disconnect=release", ["Release 0"]],
];

for (const [rules, expected] of RULES) {
  Deno.test(`AggregatorLine.guestGone() obeys "${rules}"`, () => {
    const { line, source } = rig(rules);
    line.submit(LineOperation.Output, 0);
    source.log.length = 0;
    line.guestGone();
    assertEquals(source.log, expected);
  });
}

Deno.test("AggregatorLine.guestGone() does not drive a line left as an input", () => {
  const { line, source } = rig(",safe=1");
  line.guestGone();
  assertEquals(source.log, []);
});

Deno.test("AggregatorLine.guestGone() waits for an operation under way", () => {
  const { line, source, completed } = rig(",safe=1");
  line.submit(LineOperation.Output, 0);
  source.result = PENDING;
  line.submit(LineOperation.SetValue, 0);
  line.guestGone();
  source.result = 0;
  assertEquals(source.log, ["Output 0", "SetValue 0"]);
  source.listener!.completed(0);
  assertEquals(source.log, ["Output 0", "SetValue 0", "SetValue 1"]);
  assertEquals(completed, ["7: 0"]);
});

Deno.test("AggregatorLine lets the next guest wait for a rule under way", () => {
  const { line, source, completed } = rig(",safe=1");
  line.submit(LineOperation.Output, 0);
  source.result = PENDING;
  line.guestGone();
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  assertEquals(source.log, ["Output 0", "SetValue 1"]);
  source.result = 1;
  source.listener!.completed(0);
  assertEquals(source.log, ["Output 0", "SetValue 1", "GetValue 0"]);
  assertEquals(completed, ["7: 1"]);
});

Deno.test("AggregatorLine answers what a guest asked that went while a rule was under way", () => {
  const { line, source, completed } = rig(",safe=1");
  line.submit(LineOperation.Output, 0);
  source.result = PENDING;
  line.goSafe();
  assertEquals(line.submit(LineOperation.SetValue, 0), PENDING);
  line.guestGone();
  assertEquals(completed, []);
  source.listener!.completed(0);
  assertEquals(completed, [`7: ${FAILED}`]);
  // What the next guest asks waits for the rule that the first one left behind.
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  source.result = 1;
  source.listener!.completed(0);
  assertEquals(completed, [`7: ${FAILED}`, "7: 1"]);
  assertEquals(source.log, [
    "Output 0",
    "SetValue 1",
    "SetValue 1",
    "GetValue 0",
  ]);
});

Deno.test("AggregatorLine applies a gone guest's rule before the next guest's requests", () => {
  const { line, source } = rig(",safe=0");
  line.submit(LineOperation.Output, 0);
  const next = [
    [LineOperation.Deactivate, 0],
    [LineOperation.Output, 1],
  ] as const;
  let at = 0;
  // As a device does: it asks from inside of what it is told.
  line.attach({
    completed: () => {
      const [operation, argument] = next[at++] ?? [];
      if (operation !== undefined) line.submit(operation, argument!);
    },
    edge: () => {},
  }, 7);
  source.result = PENDING;
  line.submit(LineOperation.SetValue, 1);
  line.guestGone();
  for (let i = 0; i < 4; i++) source.listener!.completed(0);
  assertEquals(source.log, [
    "Output 0",
    "SetValue 1",
    "SetValue 0",
    "Deactivate 0",
    "Output 1",
  ]);
});

Deno.test("AggregatorLine keeps what was asked after the guest was gone", () => {
  const { line, source, completed } = rig(
    ",safe=0,safe-after=1s,on-disconnect=keep",
  );
  line.submit(LineOperation.Output, 1);
  source.result = PENDING;
  line.goSafe();
  line.guestGone();
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  source.result = 1;
  source.listener!.completed(0);
  assertEquals(source.log, ["Output 1", "SetValue 0", "GetValue 0"]);
  assertEquals(completed, ["7: 1"]);
});

Deno.test("AggregatorLine ends a gone guest's interrupts, whatever was under way", () => {
  const { line, source, completed } = rig(",safe=1");
  line.submit(LineOperation.Output, 0);
  source.result = PENDING;
  line.goSafe();
  assertEquals(line.submit(LineOperation.Deactivate, 0), PENDING);
  line.guestGone();
  source.result = 0;
  source.listener!.completed(0);
  assertEquals(source.log, [
    "Output 0",
    "SetValue 1",
    "SetValue 1",
    "Deactivate 0",
  ]);
  assertEquals(completed, ["7: 0"]);
});

Deno.test("AggregatorLine does not take a released line for nothing", () => {
  const { line, source } = rig(",on-disconnect=release");
  line.submit(LineOperation.Input, 0);
  line.guestGone();
  assertEquals(line.submit(LineOperation.Deactivate, 0), 0);
  assertEquals(source.log, ["Input 0", "Release 0"]);
});

Deno.test("AggregatorLine applies its rule before it lets the source go", () => {
  const { line, source } = rig(",safe=1");
  line.submit(LineOperation.Output, 0);
  line[Symbol.dispose]();
  assertEquals(source.log, ["Output 0", "SetValue 1", "dispose"]);
});

Deno.test("startStep() starts a line as its specification says", () => {
  const start = (rules: string) => {
    const first = startStep(parseLineSpec(`sim/1${rules}`)[0]!);
    return first && [first.operation, first.argument];
  };
  assertEquals(start(""), undefined);
  assertEquals(start(",safe=1"), undefined);
  assertEquals(start(",direction=input"), [LineOperation.Input, 0]);
  assertEquals(start(",direction=output"), [LineOperation.Output, -1]);
  assertEquals(start(",direction=output,safe=1"), [LineOperation.Output, 1]);
  assertEquals(start(",initial=1,safe=0"), [LineOperation.Output, 1]);
});
