import { assertEquals } from "@std/assert";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { SourceSpecification } from "../../config/specification.ts";
import {
  Departure,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import { FollowerLine } from "./follower_line.ts";
import { LineDirectory } from "./line_directory.ts";
import { SourceOperation } from "../line_source.ts";

const TARGET = { aggregator: "a", line: "T" };

function follower(
  directory: LineDirectory,
  source: SourceSpecification,
  rules = "",
): LineRig {
  const [specification] = parseLineSpec(`wire/x${rules}`);
  return new LineRig(
    "F",
    ",direction=input",
    new FollowerLine({ ...specification!, source }, directory),
  );
}

function rig() {
  const directory = new LineDirectory();
  const source = new SourceDouble();
  const target = new LineRig("T", "", source);
  directory.add("a", [target.line]);
  return { directory, source, target };
}

const value = ({ line }: LineRig) => line.submit(LineOperation.GetValue, 0);

Deno.test("a wire follows the other side's output, and its bias otherwise", () => {
  const { directory, target } = rig();
  const down = follower(directory, { kind: "wire", to: TARGET });
  const up = follower(directory, { kind: "wire", to: TARGET }, ",bias=pull-up");
  assertEquals([value(down), value(up)], [0, 1]);
  target.line.submit(LineOperation.Output, 1);
  assertEquals([value(down), value(up)], [1, 1]);
  target.line.submit(LineOperation.SetValue, 0);
  assertEquals([value(down), value(up)], [0, 0]);
  target.line.submit(LineOperation.Input, 0);
  assertEquals([value(down), value(up)], [0, 1]);
});

Deno.test("a wire inverts for a side to which low is active", () => {
  const { directory, target } = rig();
  const low = follower(directory, { kind: "wire", to: TARGET }, ",active-low");
  assertEquals(value(low), 1);
  target.line.submit(LineOperation.Output, 1);
  assertEquals(value(low), 0);
});

Deno.test("a wire interrupts at the edges that are wanted", () => {
  const { directory, target } = rig();
  const wire = follower(directory, { kind: "wire", to: TARGET });
  target.line.submit(LineOperation.Output, 0);
  wire.line.submit(LineOperation.SetEdges, Edges.Rising);
  target.line.submit(LineOperation.SetValue, 1);
  target.line.submit(LineOperation.SetValue, 1);
  target.line.submit(LineOperation.SetValue, 0);
  target.line.submit(LineOperation.SetValue, 1);
  assertEquals(wire.taken(), ["edge 1", "edge 1"]);
  wire.line.submit(LineOperation.Deactivate, Departure.LineReleased);
  target.line.submit(LineOperation.SetValue, 0);
  target.line.submit(LineOperation.SetValue, 1);
  assertEquals(wire.taken(), []);
});

Deno.test("copies follow an input that its own guest does not watch", () => {
  const { directory, source, target } = rig();
  const copy = follower(directory, { kind: "copy", of: TARGET });
  const opposite = follower(directory, { kind: "invert", of: TARGET });
  for (const line of [copy, opposite]) {
    line.line.submit(LineOperation.SetEdges, Edges.Both);
  }
  source.change(1);
  assertEquals([value(copy), value(opposite)], [1, 0]);
  assertEquals([copy.taken(), opposite.taken()], [["edge 1"], ["edge 0"]]);
  assertEquals(target.taken(), []);
});

Deno.test("a followed line's guest hears of the edges it asked for, and no others", () => {
  const { directory, source, target } = rig();
  const copy = follower(directory, { kind: "copy", of: TARGET });
  target.line.submit(LineOperation.SetEdges, Edges.Falling);
  source.change(1);
  source.change(0);
  assertEquals(target.taken(), ["edge 0"]);
  target.line.submit(LineOperation.Deactivate, Departure.LineReleased);
  assertEquals(source.edges, Edges.Both);
  source.change(1);
  assertEquals(target.taken(), []);
  copy.line[Symbol.dispose]();
  assertEquals(source.edges, Edges.None);
});

Deno.test("a followed line that becomes an input again is watched again", () => {
  const { directory, source, target } = rig();
  follower(directory, { kind: "copy", of: TARGET });
  target.line.submit(LineOperation.Output, 1);
  assertEquals(source.edges, Edges.None);
  target.line.submit(LineOperation.Input, 0);
  assertEquals(source.edges, Edges.Both);
});

Deno.test("followers cannot be driven", () => {
  const { directory } = rig();
  const copy = follower(directory, { kind: "copy", of: TARGET });
  assertEquals(copy.line.submit(LineOperation.Output, 1), FAILED);
  assertEquals(copy.line.source.submit(SourceOperation.SetValue, 1), FAILED);
});

Deno.test("a copy of a copy follows too", () => {
  const { directory, source } = rig();
  const first = follower(directory, { kind: "copy", of: TARGET });
  directory.add("b", [first.line]);
  const second = follower(directory, {
    kind: "invert",
    of: { aggregator: "b", line: "F" },
  });
  second.line.submit(LineOperation.SetEdges, Edges.Both);
  source.change(1);
  assertEquals(second.taken(), ["edge 0"]);
});

Deno.test("followers find their line when it comes, and lose it when it goes", () => {
  const { directory, target } = rig();
  const copy = follower(directory, { kind: "copy", of: TARGET });
  const wire = follower(
    directory,
    { kind: "wire", to: TARGET },
    ",bias=pull-up",
  );
  target.line.submit(LineOperation.Output, 0);
  wire.line.submit(LineOperation.SetEdges, Edges.Both);
  directory.remove("a");
  assertEquals([value(copy), value(wire)], [FAILED, 1]);
  assertEquals(wire.taken(), ["edge 1"]);
  const next = new LineRig("T", "", new SourceDouble());
  next.line.submit(LineOperation.Output, 0);
  directory.add("a", [next.line]);
  assertEquals([value(copy), value(wire)], [0, 0]);
  assertEquals([copy.taken(), wire.taken()], [["restored"], ["edge 0"]]);
});

Deno.test("a slow line can be followed: nothing is asked of it twice at once", () => {
  const { directory, source, target } = rig();
  source.isSlow = true;
  const copy = follower(directory, { kind: "copy", of: TARGET });
  assertEquals(source.taken(), ["SetEdges 3"]);
  assertEquals(target.line.submit(LineOperation.Output, 1), PENDING);
  assertEquals(source.taken(), []);
  source.answer();
  assertEquals(source.taken(), ["Output 1"]);
  source.answer();
  assertEquals(target.taken(), ["done 0"]);
  assertEquals(value(copy), 1);
});

Deno.test("an operation that was under way when a line was first followed ends well", () => {
  const { directory, source, target } = rig();
  source.isSlow = true;
  assertEquals(target.line.submit(LineOperation.GetValue, 0), PENDING);
  follower(directory, { kind: "copy", of: TARGET });
  assertEquals(source.taken(), ["GetValue 0"]);
  source.answer();
  assertEquals(target.taken(), ["done 0"]);
  assertEquals(source.taken(), ["SetEdges 3"]);
  source.answer();
  assertEquals(target.taken(), []);
});

Deno.test("edges of a kept line are told to followers that have not asked yet", () => {
  const directory = new LineDirectory();
  const source = new SourceDouble();
  source.isKept = true;
  source.keptEdges = Edges.Both;
  source.edges = Edges.Both;
  const target = new LineRig("T", "", source);
  directory.add("a", [target.line]);
  const copy = follower(directory, { kind: "copy", of: TARGET });
  const opposite = follower(directory, { kind: "invert", of: TARGET });
  const wire = follower(directory, { kind: "wire", to: TARGET });
  assertEquals(source.taken(), [], "it reports all edges already");
  // It rose and fell again: its value does not tell.
  source.listener!.edge(1);
  source.listener!.edge(0);
  assertEquals(target.taken(), ["edge 1", "edge 0"]);
  assertEquals(copy.taken().filter((one) => one !== "restored"), [
    "edge 1",
    "edge 0",
  ]);
  assertEquals(opposite.taken().filter((one) => one !== "restored"), [
    "edge 0",
    "edge 1",
  ]);
  assertEquals(wire.taken(), []);
  copy.line.submit(LineOperation.SetEdges, Edges.Rising);
  source.change(1);
  source.change(0);
  assertEquals(copy.taken(), ["edge 1"]);
});

Deno.test("edges of a kept line reach followers that a session has asked again", () => {
  const { directory, source } = rig();
  const copy = follower(directory, { kind: "copy", of: TARGET });
  const opposite = follower(directory, { kind: "invert", of: TARGET });
  // It rose and fell while no process was there: its value is what it was.
  copy.line.submit(LineOperation.SetEdges, Edges.Rising);
  opposite.line.submit(LineOperation.SetEdges, Edges.Rising);
  source.listener!.edge(1);
  source.listener!.edge(0);
  assertEquals(copy.taken(), ["edge 1"]);
  assertEquals(opposite.taken(), ["edge 1"]);
});

Deno.test("a followed line is asked again for edges that its chip refused", () => {
  const directory = new LineDirectory();
  const source = new SourceDouble();
  const loop = new LoopDouble();
  const target = new LineRig("T", "", source, loop);
  target.line.submit(LineOperation.Input, 0);
  directory.add("a", [target.line]);
  source.refusals = 3;
  const copy = follower(directory, { kind: "copy", of: TARGET });
  copy.line.submit(LineOperation.SetEdges, Edges.Both);
  source.change(1);
  assertEquals(copy.taken(), []);
  source.change(0);
  loop.pass(1000);
  source.change(1);
  assertEquals(copy.taken(), ["edge 1"]);
});
