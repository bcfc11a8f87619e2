import { assertEquals } from "@std/assert";
import { ActiveTime } from "./active_time.ts";
import { EdgeRecorder } from "./edge_recorder.ts";
import { ringBytes } from "./edge_ring.ts";
import { Cause, EdgeRule, lineState, packEdge } from "./record.ts";

const HIGH = lineState(1, true, true);
const LOW = lineState(0, true, true);

function rig() {
  const rig = { now: 1e9 };
  const recorder = new EdgeRecorder(
    new SharedArrayBuffer(ringBytes(64)),
    (into) => into[0] = rig.now,
  );
  const time = new ActiveTime();
  return Object.assign(rig, {
    recorder,
    time,
    edge: (before: number, after: number) => {
      recorder.record(0, packEdge(before, after, Cause.Guest, EdgeRule.None));
      time.recorded(before, after, recorder);
    },
  });
}

Deno.test("a line is active while its value is 1 and its chip is present", () => {
  const it = rig();
  it.time.begin(HIGH, it.recorder);
  const states = [
    lineState(1, false, true),
    lineState(-1, false, true),
    HIGH,
    lineState(1, true, false),
    HIGH,
    LOW,
  ];
  let before = HIGH;
  const seconds = states.map((after) => {
    it.now += 1e9;
    it.edge(before, after);
    before = after;
    return it.time.secondsUntilNow(after, it.recorder);
  });
  assertEquals(seconds, [1, 2, 2, 3, 3, 4]);
});
