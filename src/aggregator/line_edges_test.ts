import { assertEquals } from "@std/assert";
import { EdgeRecordDouble } from "../../tests/doubles/edge_record.ts";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import type { LineSpecification } from "../config/specification.ts";
import { edgeStamp } from "../edges/edge_recorder.ts";
import {
  Departure,
  Edges,
  FAILED,
  LineOperation,
  UNSPECIFIED,
} from "../line/port.ts";
import { AggregatorLine } from "./aggregator_line.ts";
import { CombinedOutput } from "./sharing/combined_output.ts";
import { FollowerLine } from "./sharing/follower_line.ts";
import { LineDirectory } from "./sharing/line_directory.ts";
import { ConstLine } from "./sources/const_line.ts";
import { SimLine } from "./sources/sim_line.ts";

function rig(rules: string, withInputs = false) {
  const source = new SourceDouble();
  const record = new EdgeRecordDouble();
  const { line } = new LineRig("T", rules, source);
  record.add(line, withInputs);
  return { source, record, line };
}

/** A simulated line, and a way to pull it. */
function sim(record: EdgeRecordDouble, name: string, spec = "sim/1") {
  const loop = new LoopDouble();
  const [specification] = parseLineSpec(`${spec},as=${name}`);
  const pin = new SimLine(specification!, loop);
  const line = new AggregatorLine(name, specification!, pin, loop);
  record.add(line);
  const pull = (level: 0 | 1) => {
    pin.pull(level);
    line.pulled();
  };
  return { line, pull };
}

Deno.test("what a guest sets is an edge if the value is another", () => {
  const { line, record } = rig("");
  line.submit(LineOperation.Output, 0);
  line.submit(LineOperation.SetValue, 1);
  line.submit(LineOperation.SetValue, 1);
  line.submit(LineOperation.SetValue, 0);
  line.submit(LineOperation.Input, 0);
  assertEquals(record.taken(), [
    "T output 0 guest",
    "T output 1 guest",
    "T output 0 guest",
    "T input 0 guest",
    // Its edges are not heard from now on.
    "T input ? seen",
  ]);
  assertEquals(line.edges.counts, [0, 0, 4, 0, 0, 0]);
});

Deno.test("what is refused is no edge, and a slow line has it once it is done", () => {
  const { line, source, record } = rig("");
  line.submit(LineOperation.Output, 0);
  record.taken();
  source.refusals = 1;
  assertEquals(line.submit(LineOperation.SetValue, 1), FAILED);
  source.isSlow = true;
  line.submit(LineOperation.SetValue, 1);
  assertEquals(record.taken(), []);
  source.answer();
  assertEquals(record.taken(), ["T output 1 guest"]);
});

Deno.test("a guest that leaves changes nothing that did not change", () => {
  const record = new EdgeRecordDouble();
  const { line: input } = sim(record, "START");
  const [specification] = parseLineSpec("const/1,as=FITTED");
  const constant = new AggregatorLine(
    "FITTED",
    specification!,
    new ConstLine(1),
    new LoopDouble(),
  );
  record.add(constant);
  const { line: output } = sim(record, "LAMP");
  output.submit(LineOperation.Output, 1);
  assertEquals(record.taken(), ["LAMP output 1 guest"]);
  const changed: number[] = [];
  for (const line of [input, constant, output]) {
    line.observe({ lineChanged: (number) => changed.push(number) });
    line.submit(LineOperation.SetEdges, Edges.Both);
    line.submit(LineOperation.Deactivate, Departure.GuestGone);
    line.guestGone();
  }
  assertEquals([record.taken(), changed], [[], []]);
});

Deno.test("eight pulls of 5 ms are sixteen edges with their times", () => {
  const record = new EdgeRecordDouble();
  const { pull } = sim(record, "START");
  for (let i = 0; i < 8; i++) {
    pull(1);
    record.now += 5e6;
    pull(0);
    pull(0);
    record.now += 5e6;
  }
  const times = record.times();
  assertEquals(times.length, 16);
  assertEquals(times.map((at) => at - times[0]!), [
    ...Array.from({ length: 16 }, (_, i) => i * 5e6),
  ]);
});

Deno.test("rules are the cause of what they do, by their keys", () => {
  const { line, record } = rig(
    ",direction=output,initial=1,safe=0,on-disconnect=safe",
  );
  line.start();
  line.submit(LineOperation.SetValue, 0);
  line.submit(LineOperation.SetValue, 1);
  line.goSafe();
  line.submit(LineOperation.SetValue, 1);
  line.guestGone();
  line.submit(LineOperation.SetValue, 1);
  line.makeInactive();
  assertEquals(record.taken(), [
    "T output 1 rule Start",
    "T output 0 guest",
    "T output 1 guest",
    "T output 0 rule SafeAfter",
    "T output 1 guest",
    "T output 0 rule OnDisconnect",
    "T output 1 guest",
    "T output 0 rule Interlock",
  ]);
});

Deno.test("an input tells its edges while all of them are heard", () => {
  const { line, source, record } = rig(",direction=input");
  source.change(1);
  line.submit(LineOperation.SetEdges, Edges.Rising);
  source.change(0);
  source.change(1);
  // It would look as if the line never went back.
  assertEquals(record.taken(), []);
  line.submit(LineOperation.SetEdges, Edges.Both);
  edgeStamp[0] = 7;
  source.change(0);
  edgeStamp[0] = 0;
  source.change(1);
  line.submit(LineOperation.SetEdges, Edges.None);
  assertEquals(record.taken(), [
    "T input 1 seen",
    "T input 0 world",
    "T input 1 world",
    "T input ? seen",
  ]);
});

Deno.test("with inputs, one that no guest watches is recorded, and its guest not told", () => {
  const source = new SourceDouble();
  const record = new EdgeRecordDouble();
  const guest = new LineRig("T", ",direction=input", source);
  record.add(guest.line, true);
  assertEquals(source.edges, Edges.Both);
  source.change(1);
  assertEquals(record.taken(), ["T input 1 world"]);
  guest.line.submit(LineOperation.SetEdges, Edges.Falling);
  source.change(0);
  source.change(1);
  guest.line.submit(LineOperation.Deactivate, Departure.GuestGone);
  source.change(0);
  assertEquals(guest.taken(), ["edge 0"]);
  assertEquals(record.taken(), [
    "T input 0 world",
    "T input 1 world",
    "T input 0 world",
  ]);
});

Deno.test("a chip that goes and comes is two edges", () => {
  const { line, source, record } = rig(",direction=output,initial=1");
  line.start();
  record.taken();
  source.isAbsent = true;
  line.presence(false);
  source.isAbsent = false;
  line.presence(true);
  assertEquals(record.taken(), ["T absent ? world", "T output 1 world"]);
});

Deno.test("a cause is told before its effects", () => {
  const record = new EdgeRecordDouble();
  const loop = new LoopDouble();
  const directory = new LineDirectory();
  const { line: ready } = sim(record, "READY");
  directory.add("crane", [ready]);
  const wire: LineSpecification = {
    ...parseLineSpec("wire/x")[0]!,
    source: { kind: "wire", to: { aggregator: "crane", line: "READY" } },
  };
  const peer = new AggregatorLine(
    "PEER",
    wire,
    new FollowerLine(wire, directory),
    loop,
  );
  record.add(peer);
  ready.submit(LineOperation.Output, 1);
  ready.submit(LineOperation.SetValue, 0);
  assertEquals(record.taken(), [
    "READY output 1 guest",
    "PEER input 1 follow",
    "READY output 0 guest",
    "PEER input 0 follow",
  ]);
});

Deno.test("a combined output has the value that it has, at all its users", () => {
  const record = new EdgeRecordDouble();
  const source = new SourceDouble();
  const combined = new CombinedOutput(source, "or", () => {}, new LoopDouble());
  const [specification] = parseLineSpec("gpiochip0/0,combine=or");
  const lines = ["A", "B"].map((name) => {
    const tap = combined.open({
      user: "a",
      keepsFound: false,
      onClose: () => {},
    });
    const line = new AggregatorLine(
      name,
      specification!,
      tap,
      new LoopDouble(),
    );
    record.add(line);
    line.submit(LineOperation.Output, UNSPECIFIED);
    return line;
  });
  record.taken();
  lines[0]!.submit(LineOperation.SetValue, 1);
  lines[1]!.submit(LineOperation.SetValue, 1);
  lines[0]!.submit(LineOperation.SetValue, 0);
  lines[1]!.submit(LineOperation.SetValue, 0);
  assertEquals(record.taken(), [
    "A output 1 guest",
    "B output 1 follow",
    "B output 0 guest",
    "A output 0 follow",
  ]);
});

Deno.test("the time for which a line is active goes from edge to edge, and on until now", () => {
  const { line, record } = rig("");
  // An output that was never driven has no value yet.
  assertEquals(line.edges.activeSeconds, undefined);
  line.submit(LineOperation.Output, 0);
  assertEquals(line.edges.activeSeconds, 0);
  for (let i = 0; i < 3; i++) {
    record.now += 7e9;
    line.submit(LineOperation.SetValue, 1);
    record.now += 2e9;
    // What the line has already is no edge.
    line.submit(LineOperation.SetValue, 1);
    record.now += 0.5e9;
    line.submit(LineOperation.SetValue, 0);
  }
  assertEquals(line.edges.activeSeconds, 7.5);
  line.submit(LineOperation.SetValue, 1);
  record.now += 1e9;
  assertEquals(line.edges.activeSeconds, 8.5);
  assertEquals(line.edges.activeSeconds, 8.5);
  line.submit(LineOperation.Input, 0);
  // Its edges are not heard: it may have any value.
  assertEquals(line.edges.activeSeconds, undefined);
  record.now += 5e9;
  line.submit(LineOperation.Output, 0);
  assertEquals(line.edges.activeSeconds, 8.5);
});

Deno.test("a line that is active from the beginning has been since then", () => {
  const record = new EdgeRecordDouble();
  const { line, pull } = sim(record, "DOOR", "sim/1,bias=pull-up");
  record.now += 3e9;
  assertEquals(line.edges.activeSeconds, 3);
  pull(0);
  record.now += 3e9;
  assertEquals(line.edges.activeSeconds, 3);
});

Deno.test("the time of being active is by the kernel's times, and never falls", () => {
  const { line, source, record } = rig(",direction=input");
  line.submit(LineOperation.SetEdges, Edges.Both);
  const edge = (value: 0 | 1, time: number) => {
    edgeStamp[0] = time;
    source.change(value);
    edgeStamp[0] = 0;
  };
  edge(1, 10e9);
  record.now = 12e9;
  assertEquals(line.edges.activeSeconds, 2);
  // It fell before that question, which the kernel's report followed.
  edge(0, 11.5e9);
  assertEquals(line.edges.activeSeconds, 2);
  edge(1, 13e9);
  edge(0, 14e9);
  assertEquals(line.edges.activeSeconds, 2.5);
});

Deno.test("a line whose edges are not recorded has no time of being active", () => {
  const { line } = new LineRig("T", "", new SourceDouble());
  line.submit(LineOperation.Output, 1);
  assertEquals(line.edges.activeSeconds, undefined);
});
