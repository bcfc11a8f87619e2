import { assertEquals } from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import { assertAllocatesNothing } from "../../tests/doubles/allocation.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import { EdgeRecorder, edgeStamp } from "./edge_recorder.ts";
import { EdgeReader, EdgeWriter, ringBytes } from "./edge_ring.ts";
import {
  Cause,
  EdgeRule,
  lineState,
  packEdge,
  stateAfter,
  stateBefore,
  unpackCause,
  unpackRule,
} from "./record.ts";

const stamp = new Float64Array(1);

function rig(size: number) {
  const memory = new SharedArrayBuffer(ringBytes(size));
  const writer = new EdgeWriter(memory);
  return {
    memory,
    writer,
    reader: new EdgeReader(memory),
    write: (time: number, lineId: number, bits = 0) => {
      stamp[0] = time;
      writer.write(stamp, lineId, bits);
    },
  };
}

Deno.test("an edge comes out of the ring as it was written", () => {
  const { reader, write } = rig(8);
  const before = lineState(-1, false, true);
  const after = lineState(1, true, true);
  const bits = packEdge(before, after, Cause.Rule, EdgeRule.SafeAfter);
  write(123_456_789_012_345, 70_000, bits);
  assertEquals(reader.read(0, 10), [
    { number: 0, time: 123_456_789_012_345, lineId: 70_000, bits },
  ]);
  assertEquals([stateBefore(bits), stateAfter(bits)], [before, after]);
  assertEquals([unpackCause(bits), unpackRule(bits)], [
    Cause.Rule,
    EdgeRule.SafeAfter,
  ]);
});

Deno.test("EdgeReader notices what was overwritten", () => {
  const { reader, write } = rig(4);
  for (let i = 0; i < 10; i++) write(i, i);
  assertEquals([reader.head, reader.tail], [10, 7]);
  assertEquals(reader.read(0, 2).map(({ number }) => number), [7, 8]);
  assertEquals(reader.read(9, 5).map(({ lineId }) => lineId), [9]);
  assertEquals(reader.read(10, 5), []);
  const seen: number[] = [];
  assertEquals(reader.scan(0, 100, (lineId) => seen.push(lineId)), 10);
  assertEquals(seen, [7, 8, 9]);
  // Those after them are not meant.
  assertEquals(reader.scan(5, 3, (lineId) => seen.push(lineId)), 8);
  assertEquals(seen, [7, 8, 9, 7]);
});

Deno.test("the latest state of a line outlives its edges", () => {
  const { reader, write } = rig(4);
  const on = packEdge(0, lineState(1, true, true), Cause.Guest, EdgeRule.None);
  const off = packEdge(0, lineState(0, true, true), Cause.Guest, EdgeRule.None);
  write(0, 7, on);
  for (let i = 0; i < 10; i++) write(i, 8, i % 2 === 0 ? on : off);
  const states = (...ids: number[]) => ids.map((id) => reader.latestState(id));
  assertEquals(states(7, 8, 9), [stateAfter(on), stateAfter(off), "none"]);
});

Deno.test("a line that began much later takes the place of the latest state, for good", () => {
  const { reader, write } = rig(4);
  const on = packEdge(0, lineState(1, true, true), Cause.Guest, EdgeRule.None);
  const late = 7 + 3 * 2 ** 15;
  write(0, 7, on);
  assertEquals(reader.latestState(late), "none");
  write(1, late, on);
  write(2, 7, on);
  assertEquals(reader.latestState(late), stateAfter(on));
  assertEquals(reader.latestState(7), undefined);
});

Deno.test("EdgeReader ends, and has times of edges, whatever another process wrote", () => {
  const { memory, reader, write } = rig(8);
  for (const time of [NaN, Infinity, -Infinity, -1, 1e300]) write(time, 1);
  write(7, 1);
  assertEquals(reader.read(0, 9).map(({ time }) => time), [0, 0, 0, 0, 0, 7]);
  // So many that numbers of that size are not all there.
  const words = new Int32Array(memory);
  words.fill(-1, 0, 2);
  const { head } = reader;
  assertEquals(Number.isSafeInteger(head), true);
  assertEquals(reader.read(0, 5).length, 5);
  assertEquals(reader.read(head - 1, 5).length, 1);
  assertEquals(reader.scan(0, 100, () => {}), reader.tail);
  assertEquals(reader.scan(reader.tail, 100, () => {}), head);
  assertEquals(Number.isSafeInteger(reader.firstSince(1e18)), true);
});

Deno.test("EdgeReader finds the first edge since a time", () => {
  const { reader, write } = rig(8);
  assertEquals(reader.firstSince(5), 0);
  for (let i = 0; i < 12; i++) write(i * 10, i);
  const found = [0, 50, 51, 80, 110, 111].map((at) => reader.firstSince(at));
  assertEquals(found, [5, 5, 6, 8, 11, 12]);
});

Deno.test("EdgeWriter goes on behind what another one wrote, with new ids", () => {
  const { memory, reader, writer, write } = rig(4);
  assertEquals([writer.takeIds(3), writer.takeIds(2)], [0, 3]);
  for (let i = 0; i < 6; i++) write(i, i);
  const next = new EdgeWriter(memory);
  assertEquals(next.takeIds(1), 5);
  stamp[0] = 6;
  next.write(stamp, 6, 0);
  assertEquals(reader.read(0, 9).map(({ lineId }) => lineId), [4, 5, 6]);
});

Deno.test("the numbers of edges go on beyond 32 bits", () => {
  const { memory, reader, write } = rig(4);
  for (let i = 0; i < 3; i++) write(i, i);
  const words = new Int32Array(memory);
  // As after so many edges; 2^32 - 1 is in slot 3 of 4.
  words[0] = -1;
  const writer = new EdgeWriter(memory);
  for (let i = 0; i < 3; i++) {
    stamp[0] = i;
    writer.write(stamp, 100 + i, 0);
  }
  assertEquals(reader.head, 2 ** 32 + 2);
  assertEquals(reader.read(2 ** 32 - 1, 9), [
    { number: 2 ** 32 - 1, time: 0, lineId: 100, bits: 0 },
    { number: 2 ** 32, time: 1, lineId: 101, bits: 0 },
    { number: 2 ** 32 + 1, time: 2, lineId: 102, bits: 0 },
  ]);
});

testLarge("a long record is read back complete", () => {
  const count = rounds(1_000_000, 200_000);
  // One slot is the writer's.
  const { reader, write } = rig(count + 1);
  for (let i = 0; i < count; i++) write(i, i % 40, i & 0xffff);
  let next = 0;
  let wrong = 0;
  while (next < count) {
    for (const { number, time, lineId, bits } of reader.read(next, 4096)) {
      const isRight = number === next && time === number &&
        lineId === number % 40 && bits === (number & 0xffff);
      if (!isRight) wrong++;
      next++;
    }
  }
  assertEquals([next, wrong, reader.tail], [count, 0, 0]);
});

Deno.test("recording an edge allocates nothing", () => {
  const memory = new SharedArrayBuffer(ringBytes(1000));
  let now = 0;
  const recorder = new EdgeRecorder(memory, (into) => {
    into[0] = ++now & 0xffff;
  });
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      if ((i & 1) === 0) recorder.record(3, i & 0xff);
      else recorder.recordStamped(4, i & 0xff);
    }
  });
});

Deno.test("an edge of the kernel has the kernel's time", () => {
  const memory = new SharedArrayBuffer(ringBytes(8));
  const recorder = new EdgeRecorder(memory, (into) => into[0] = 50);
  edgeStamp[0] = 40;
  recorder.recordStamped(1, 0);
  recorder.record(2, 0);
  edgeStamp[0] = 0;
  recorder.recordStamped(3, 0);
  assertEquals(
    new EdgeReader(memory).read(0, 9).map(({ time }) => time),
    [40, 50, 50],
  );
});
