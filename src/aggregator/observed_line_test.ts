import { assertEquals } from "@std/assert";
import { LineRig, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import {
  Departure,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../line/port.ts";
import { FollowerLine } from "./sharing/follower_line.ts";
import { LineDirectory } from "./sharing/line_directory.ts";

/** A line, what it is made of, and what its observer hears. */
function rig(rules = ",direction=input") {
  const source = new SourceDouble();
  const guest = new LineRig("T", rules, source);
  const { line } = guest;
  let changes = 0;
  return {
    source,
    guest,
    line,
    observe: (on = true) =>
      line.observe(on ? { lineChanged: () => changes++ } : undefined),
    /** Returns how often the observer was notified since the last call. */
    changes: () => {
      const count = changes;
      changes = 0;
      return count;
    },
  };
}

Deno.test("an observer sees an input that no guest has armed; the guest hears nothing", () => {
  const { source, guest, observe, changes } = rig();
  source.change(1);
  assertEquals(source.edges, Edges.None);
  observe();
  source.change(0);
  source.change(1);
  assertEquals(changes(), 2);
  assertEquals(guest.taken(), []);
  observe(false);
  assertEquals(source.edges, Edges.None);
  source.change(0);
  assertEquals(changes(), 0);
});

Deno.test("a guest hears just the edges it wants, before, during and after an observer", () => {
  const { source, guest, line, observe, changes } = rig();
  const rising = () => {
    source.change(1);
    source.change(0);
    assertEquals(guest.taken(), ["edge 1"]);
  };
  line.submit(LineOperation.SetEdges, Edges.Rising);
  rising();
  observe();
  rising();
  assertEquals(changes(), 2);
  observe(false);
  assertEquals(source.edges, Edges.Rising);
  rising();
  observe();
  line.submit(LineOperation.SetEdges, Edges.Falling);
  assertEquals(source.edges, Edges.Both);
  source.change(1);
  source.change(0);
  assertEquals(guest.taken(), ["edge 0"]);
  observe(false);
  assertEquals(source.edges, Edges.Falling);
});

Deno.test("a guest that goes, or turns a line round, leaves it observed", () => {
  const { source, guest, line, observe, changes } = rig("");
  observe();
  line.submit(LineOperation.SetEdges, Edges.Both);
  line.submit(LineOperation.Deactivate, Departure.GuestGone);
  line.guestGone();
  changes();
  source.change(1);
  assertEquals([changes(), guest.taken()], [1, []]);
  line.submit(LineOperation.Output, 0);
  assertEquals([changes(), source.edges], [1, Edges.None]);
  line.submit(LineOperation.Input, 0);
  assertEquals(source.edges, Edges.Both);
});

Deno.test("an observer does not take back a line that was released", () => {
  const { source, line, observe } = rig(
    ",direction=input,on-disconnect=release",
  );
  observe();
  line.guestGone();
  assertEquals(source.edges, Edges.None);
  observe(false);
  source.taken();
  observe();
  assertEquals(source.taken(), []);
  line.submit(LineOperation.Input, 0);
  assertEquals(source.edges, Edges.Both);
});

Deno.test("a source that cannot tell edges is asked for them once", () => {
  const { source, line, observe } = rig();
  source.isAbsent = true;
  observe();
  assertEquals(source.taken(), []);
  source.isAbsent = false;
  const { submit } = source;
  source.submit = (operation, argument) =>
    operation === LineOperation.SetEdges
      ? (source.log.push("no edges"), FAILED)
      : submit.call(source, operation, argument);
  line.submit(LineOperation.Input, 0);
  line.submit(LineOperation.GetValue, 0);
  line.submit(LineOperation.Input, 0);
  assertEquals(source.taken(), [
    "Input 0",
    "no edges",
    "GetValue 0",
    "Input 0",
  ]);
  // Another chip may have come in its place.
  line.presence(true);
  assertEquals(source.taken(), ["no edges"]);
});

Deno.test("an observer's request waits for an operation under way, and a guest's for it", () => {
  const { source, guest, line, observe, changes } = rig();
  source.isSlow = true;
  assertEquals(line.submit(LineOperation.SetEdges, Edges.Rising), PENDING);
  observe();
  source.answer();
  assertEquals(guest.taken(), ["done 0"]);
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  source.answer();
  assertEquals([source.edges, guest.taken()], [Edges.Both, []]);
  source.answer();
  assertEquals(guest.taken(), ["done 0"]);
  observe(false);
  source.change(1);
  source.change(0);
  assertEquals([guest.taken(), changes()], [["edge 1"], 0]);
  source.answer();
  assertEquals(source.edges, Edges.Rising);
});

Deno.test("an observed chip that was away is observed when it is back", () => {
  const { source, line, guest, observe, changes } = rig();
  line.submit(LineOperation.SetEdges, Edges.Rising);
  observe();
  source.isAbsent = true;
  line.presence(false);
  observe(false);
  source.isAbsent = false;
  line.presence(true);
  assertEquals(source.edges, Edges.Rising);
  observe();
  // What a rule had remembered for it meanwhile.
  source.edges = Edges.None;
  line.presence(true);
  assertEquals(source.edges, Edges.Both);
  guest.taken();
  changes();
  source.change(1);
  assertEquals([guest.taken(), changes()], [["edge 1"], 1]);
});

Deno.test("an observer leaves what waits for the guest of an earlier process", () => {
  for (const isBack of [true, false]) {
    const source = new SourceDouble();
    source.keptEdges = Edges.Rising;
    const { line } = new LineRig("T", ",direction=input", source);
    line.observe({ lineChanged: () => {} });
    assertEquals(source.taken(), []);
    if (isBack) line.submit(LineOperation.SetEdges, Edges.Rising);
    else line.guestGone();
    assertEquals(
      source.taken(),
      isBack ? ["SetEdges 1", "SetEdges 3"] : ["SetEdges 3"],
    );
    line.observe(undefined);
    assertEquals(source.edges, Edges.Rising);
  }
});

Deno.test("a guest's interrupt outlasts a follower that comes later", () => {
  const { source, guest, line } = rig();
  line.submit(LineOperation.SetEdges, Edges.Rising);
  const directory = new LineDirectory();
  directory.add("a", [line]);
  using _follower = new FollowerLine({
    ...line.specification,
    source: { kind: "copy", of: { aggregator: "a", line: "T" } },
  }, directory);
  assertEquals(source.edges, Edges.Both);
  source.change(1);
  source.change(0);
  assertEquals(guest.taken(), ["edge 1"]);
});
