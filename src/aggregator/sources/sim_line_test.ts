import { assertEquals } from "@std/assert";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { Deadlines } from "../../reactor/deadlines.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import { SourceOperation } from "../line_source.ts";
import { SimLine } from "./sim_line.ts";

function rig(rules = "") {
  const clock = { now: 0 };
  const deadlines = new Deadlines(() => clock.now);
  const loop: EventLoop = {
    get now() {
      return clock.now;
    },
    watch: () => {
      throw new Error("a simulated line watches no fd");
    },
    after: (ms, onElapsed) => deadlines.after(ms, onElapsed),
    defer: (task) => task(),
    share: () => {
      throw new Error("there are no peers");
    },
    onMemoryFault: () => {
      throw new Error("no memory is guarded");
    },
  };
  const [specification] = parseLineSpec(`sim/1${rules}`);
  const line = new SimLine(specification!, loop);
  const edges: number[] = [];
  line.attach({
    completed: () => {},
    edge: (value) => edges.push(value),
    presence: () => {},
    restored: () => {},
  });
  const pass = (ms: number) => {
    clock.now += ms;
    deadlines.run((error) => {
      throw error;
    });
  };
  const ask = (operation: SourceOperation, argument = 0) =>
    line.submit(operation, argument);
  return { line, edges, pass, ask };
}

Deno.test("SimLine starts as an input that follows its pull", () => {
  const { line, ask } = rig();
  assertEquals(line.direction, Direction.Input);
  assertEquals(ask(SourceOperation.GetValue), 0);
  line.pull(1);
  assertEquals(ask(SourceOperation.GetValue), 1);
  assertEquals(rig(",bias=pull-up").ask(SourceOperation.GetValue), 1);
});

Deno.test("SimLine reports just the edges that were asked for", () => {
  const cases: [Edges, number[]][] = [
    [Edges.None, []],
    [Edges.Rising, [1, 1]],
    [Edges.Falling, [0]],
    [Edges.Both, [1, 0, 1]],
  ];
  for (const [asked, expected] of cases) {
    const { line, edges, ask } = rig();
    ask(SourceOperation.SetEdges, asked);
    for (const level of [1, 1, 0, 1] as const) line.pull(level);
    assertEquals(edges, expected);
  }
});

Deno.test("SimLine as an output wins over the pull and reports no edge", () => {
  const { line, edges, ask } = rig();
  ask(SourceOperation.SetEdges, Edges.Both);
  assertEquals(ask(SourceOperation.Output, 1), 0);
  line.pull(0);
  assertEquals(line.level, 1);
  assertEquals(ask(SourceOperation.SetValue, 0), 0);
  assertEquals(ask(SourceOperation.GetValue), 0);
  assertEquals(edges, []);
  assertEquals(ask(SourceOperation.SetEdges, Edges.Rising), FAILED);
});

Deno.test("SimLine is not written while it is an input", () => {
  assertEquals(rig().ask(SourceOperation.SetValue, 1), FAILED);
});

Deno.test("SimLine keeps its level when it is made an output without one", () => {
  const { line, ask } = rig();
  line.pull(1);
  ask(SourceOperation.Output, UNSPECIFIED);
  line.pull(0);
  assertEquals(line.level, 1);
});

Deno.test("SimLine inverts between value and level when active-low", () => {
  const { line, edges, ask } = rig(",active-low");
  assertEquals(ask(SourceOperation.GetValue), 1);
  ask(SourceOperation.SetEdges, Edges.Both);
  line.pull(1);
  assertEquals(edges, [0]);
  assertEquals(ask(SourceOperation.GetValue), 0);
  ask(SourceOperation.Output, 1);
  assertEquals(line.level, 0);
});

Deno.test("SimLine lets an open drain or open source go to the pull", () => {
  const drain = rig(",drive=open-drain");
  drain.ask(SourceOperation.Output, 1);
  assertEquals(drain.line.level, 0);
  drain.line.pull(1);
  assertEquals(drain.line.level, 1);
  drain.ask(SourceOperation.SetValue, 0);
  assertEquals(drain.line.level, 0);
  const source = rig(",drive=open-source");
  source.ask(SourceOperation.Output, 0);
  source.line.pull(1);
  assertEquals(source.line.level, 1);
});

Deno.test("SimLine debounces: only what stays is seen", () => {
  const { line, edges, pass, ask } = rig(",debounce=5ms");
  ask(SourceOperation.SetEdges, Edges.Both);
  line.pull(1);
  pass(4);
  line.pull(0);
  pass(4);
  line.pull(1);
  assertEquals(ask(SourceOperation.GetValue), 0);
  pass(5);
  assertEquals(edges, [1]);
  assertEquals(ask(SourceOperation.GetValue), 1);
});

Deno.test("SimLine lets an output go when it is released", () => {
  const { line, ask } = rig();
  line.pull(1);
  ask(SourceOperation.Output, 0);
  ask(SourceOperation.Release);
  assertEquals(line.direction, Direction.Input);
  assertEquals(ask(SourceOperation.GetValue), 1);
});
