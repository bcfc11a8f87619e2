import { assertEquals } from "@std/assert";
import { parseLineSpec } from "../config/line_spec.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { Deadlines } from "../reactor/deadlines.ts";
import {
  Direction,
  Edges,
  FAILED,
  LineOperation,
  UNSPECIFIED,
} from "../virtio/line_port.ts";
import { SimLine } from "./sim_line.ts";

function rig(rules = "") {
  const clock = { now: 0 };
  const deadlines = new Deadlines(() => clock.now);
  const loop: EventLoop = {
    watch: () => {
      throw new Error("a simulated line watches no fd");
    },
    after: (ms, onElapsed) => deadlines.after(ms, onElapsed),
    defer: (task) => task(),
  };
  const [specification] = parseLineSpec(`sim/1${rules}`);
  const line = new SimLine(specification!, loop);
  const edges: number[] = [];
  line.attach({ completed: () => {}, edge: (value) => edges.push(value) });
  const pass = (ms: number) => {
    clock.now += ms;
    deadlines.run((error) => {
      throw error;
    });
  };
  const ask = (operation: LineOperation, argument = 0) =>
    line.submit(operation, argument);
  return { line, edges, pass, ask };
}

Deno.test("SimLine starts as an input that follows its pull", () => {
  const { line, ask } = rig();
  assertEquals(line.direction, Direction.Input);
  assertEquals(ask(LineOperation.GetValue), 0);
  line.pull(1);
  assertEquals(ask(LineOperation.GetValue), 1);
  assertEquals(rig(",bias=pull-up").ask(LineOperation.GetValue), 1);
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
    ask(LineOperation.SetEdges, asked);
    for (const level of [1, 1, 0, 1] as const) line.pull(level);
    assertEquals(edges, expected);
  }
});

Deno.test("SimLine as an output wins over the pull and reports no edge", () => {
  const { line, edges, ask } = rig();
  ask(LineOperation.SetEdges, Edges.Both);
  assertEquals(ask(LineOperation.Output, 1), 0);
  line.pull(0);
  assertEquals(line.level, 1);
  assertEquals(ask(LineOperation.SetValue, 0), 0);
  assertEquals(ask(LineOperation.GetValue), 0);
  assertEquals(edges, []);
  assertEquals(ask(LineOperation.SetEdges, Edges.Rising), FAILED);
});

Deno.test("SimLine is not written while it is an input", () => {
  assertEquals(rig().ask(LineOperation.SetValue, 1), FAILED);
});

Deno.test("SimLine keeps its level when it is made an output without one", () => {
  const { line, ask } = rig();
  line.pull(1);
  ask(LineOperation.Output, UNSPECIFIED);
  line.pull(0);
  assertEquals(line.level, 1);
});

Deno.test("SimLine inverts between value and level when active-low", () => {
  const { line, edges, ask } = rig(",active-low");
  assertEquals(ask(LineOperation.GetValue), 1);
  ask(LineOperation.SetEdges, Edges.Both);
  line.pull(1);
  assertEquals(edges, [0]);
  assertEquals(ask(LineOperation.GetValue), 0);
  ask(LineOperation.Output, 1);
  assertEquals(line.level, 0);
});

Deno.test("SimLine lets an open drain or open source go to the pull", () => {
  const drain = rig(",drive=open-drain");
  drain.ask(LineOperation.Output, 1);
  assertEquals(drain.line.level, 0);
  drain.line.pull(1);
  assertEquals(drain.line.level, 1);
  drain.ask(LineOperation.SetValue, 0);
  assertEquals(drain.line.level, 0);
  const source = rig(",drive=open-source");
  source.ask(LineOperation.Output, 0);
  source.line.pull(1);
  assertEquals(source.line.level, 1);
});

Deno.test("SimLine debounces: only what stays is seen", () => {
  const { line, edges, pass, ask } = rig(",debounce=5ms");
  ask(LineOperation.SetEdges, Edges.Both);
  line.pull(1);
  pass(4);
  line.pull(0);
  pass(4);
  line.pull(1);
  assertEquals(ask(LineOperation.GetValue), 0);
  pass(5);
  assertEquals(edges, [1]);
  assertEquals(ask(LineOperation.GetValue), 1);
});

Deno.test("SimLine.release() lets an output go", () => {
  const { line, ask } = rig();
  line.pull(1);
  ask(LineOperation.Output, 0);
  line.release();
  assertEquals(line.direction, Direction.Input);
  assertEquals(ask(LineOperation.GetValue), 1);
});
