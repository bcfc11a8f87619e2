import { assertEquals } from "@std/assert";
import { LineRig, SourceDouble } from "../../../tests/doubles/line_doubles.ts";
import {
  Departure,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import { SharedInput } from "./shared_input.ts";

function rig(inverted = [false, false]) {
  const source = new SourceDouble();
  let unused = 0;
  const closed: number[] = [];
  const shared = new SharedInput(source, () => unused++, (task) => task());
  const users = inverted.map((isInverted, i) =>
    new LineRig(
      `user${i}`,
      ",shared",
      shared.open({ isInverted, onClose: () => closed.push(i) }),
    )
  );
  return { source, users, closed, unused: () => unused };
}

Deno.test("SharedInput interrupts each user that wants the edge", () => {
  const { source, users: [a, b] } = rig();
  assertEquals(a!.line.submit(LineOperation.SetEdges, Edges.Rising), 0);
  assertEquals(b!.line.submit(LineOperation.SetEdges, Edges.Falling), 0);
  assertEquals(source.edges, Edges.Both);
  source.change(1);
  assertEquals([a!.taken(), b!.taken()], [["edge 1"], []]);
  source.change(0);
  assertEquals([a!.taken(), b!.taken()], [[], ["edge 0"]]);
});

Deno.test("SharedInput reconfigures its source only when the union changes", () => {
  const { source, users: [a, b] } = rig();
  a!.line.submit(LineOperation.SetEdges, Edges.Both);
  b!.line.submit(LineOperation.SetEdges, Edges.Rising);
  assertEquals(source.taken(), ["SetEdges 3"]);
  a!.line.submit(LineOperation.Deactivate, Departure.LineReleased);
  assertEquals(source.taken(), ["SetEdges 1"]);
  b!.line.submit(LineOperation.Deactivate, Departure.GuestGone);
  assertEquals(source.taken(), ["SetEdges 0"]);
});

Deno.test("SharedInput lets users have opposite ideas of active", () => {
  const { source, users: [a, b] } = rig([false, true]);
  b!.line.submit(LineOperation.SetEdges, Edges.Rising);
  assertEquals(source.edges, Edges.Falling);
  source.value = 1;
  assertEquals(a!.line.submit(LineOperation.GetValue, 0), 1);
  assertEquals(b!.line.submit(LineOperation.GetValue, 0), 0);
  source.change(0);
  assertEquals([a!.taken(), b!.taken()], [[], ["edge 1"]]);
});

Deno.test("SharedInput cannot be driven", () => {
  const { source, users: [a] } = rig();
  assertEquals(a!.line.submit(LineOperation.Output, 1), FAILED);
  assertEquals(a!.line.source.submit(LineOperation.SetValue, 1), FAILED);
  assertEquals(source.taken(), []);
});

Deno.test("SharedInput answers each user when its slow source has", () => {
  const { source, users: [a, b] } = rig();
  source.isSlow = true;
  source.value = 1;
  assertEquals(a!.line.submit(LineOperation.GetValue, 0), PENDING);
  assertEquals(b!.line.submit(LineOperation.GetValue, 0), PENDING);
  assertEquals(source.taken(), ["GetValue 0"]);
  source.answer();
  assertEquals([a!.taken(), b!.taken()], [["done 1"], []]);
  source.answer();
  assertEquals([a!.taken(), b!.taken()], [[], ["done 1"]]);
});

Deno.test("SharedInput asks for edges that came up while its slow source was asked", () => {
  const { source, users: [a, b] } = rig();
  source.isSlow = true;
  a!.line.submit(LineOperation.SetEdges, Edges.Rising);
  b!.line.submit(LineOperation.SetEdges, Edges.Falling);
  source.answer();
  source.answer();
  assertEquals(source.edges, Edges.Both);
  assertEquals([a!.taken(), b!.taken()], [["done 0"], ["done 0"]]);
});

Deno.test("SharedInput is let go with its last user", () => {
  const { source, users: [a, b], closed, unused } = rig();
  a!.line.submit(LineOperation.SetEdges, Edges.Both);
  a!.line[Symbol.dispose]();
  assertEquals(source.taken(), ["SetEdges 3", "SetEdges 0"]);
  assertEquals([closed, unused()], [[0], 0]);
  b!.line[Symbol.dispose]();
  assertEquals(source.taken(), ["dispose"]);
  assertEquals([closed, unused()], [[0, 1], 1]);
});

Deno.test("SharedInput tells every user of its chip's coming and going", () => {
  const { source, users: [a, b] } = rig();
  source.listener!.presence(false);
  source.listener!.presence(true);
  for (const user of [a!, b!]) {
    assertEquals(user.taken(), ["restored"]);
    assertEquals(user.reports.length, 2);
  }
});

Deno.test("SharedInput tells users of a kept line what came before they ask for it", () => {
  const source = new SourceDouble();
  source.isKept = true;
  source.keptEdges = Edges.Both;
  source.edges = Edges.Both;
  const tasks: (() => void)[] = [];
  const shared = new SharedInput(
    source,
    () => {},
    (task) => tasks.push(task),
  );
  const open = (isInverted = false) =>
    new LineRig("", ",shared", shared.open({ isInverted, onClose: () => {} }));
  const early = open();
  source.change(1);
  assertEquals(early.taken(), ["edge 1"]);
  // One that comes later was there before, too.
  const late = open(true);
  for (const task of tasks.splice(0)) task();
  assertEquals([early.taken(), late.taken()], [[], ["edge 0"]]);
  // A user that states settings gets them, and the source keeps them.
  early.line.submit(LineOperation.Deactivate, Departure.GuestGone);
  late.line.submit(LineOperation.SetEdges, Edges.Rising);
  assertEquals(source.edges, Edges.Falling);
  shared.takenOver();
  const stranger = open();
  for (const task of tasks.splice(0)) task();
  assertEquals(stranger.taken(), []);
  source.change(0);
  assertEquals(
    [early.taken(), late.taken(), stranger.taken()],
    [[], ["edge 1"], []],
  );
});

Deno.test("SharedInput tells a later user of a kept line the early edges before newer ones", () => {
  const source = new SourceDouble();
  source.isKept = true;
  source.keptEdges = source.edges = Edges.Both;
  const tasks: (() => void)[] = [];
  const shared = new SharedInput(
    source,
    () => {},
    (task) => tasks.push(task),
  );
  const open = () =>
    new LineRig(
      "",
      ",shared",
      shared.open({ isInverted: false, onClose: () => {} }),
    );
  open();
  source.change(1);
  const late = open();
  source.change(0);
  for (const task of tasks.splice(0)) task();
  assertEquals(late.taken(), ["edge 1", "edge 0"]);
});
