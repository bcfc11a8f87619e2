import { assertEquals } from "@std/assert";
import { rounds } from "../../../tests/environment/rounds.ts";
import {
  EdgeSourceDouble,
  edgeStore,
} from "../../../tests/doubles/edge_store.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import type { History } from "../../client/edges.ts";
import { EdgeCursor } from "./edge_cursor.ts";
import type { EdgeStore } from "./edge_store.ts";
import { type Beginning, HistoryReader, type Span } from "./history.ts";
import { historyText } from "./history_formats.ts";
import { decodeValue, isEdge, type StoredEdge } from "./stored_edge.ts";

const SECOND = 1e9;

function rig(keep = 100) {
  const store = edgeStore(keep);
  const press = new EdgeSourceDouble(store);
  const [start] = [press.begin("press", ["START", "STOP"])];
  return {
    store,
    press,
    start,
    stop: start + 1,
    [Symbol.dispose]: () => {
      press[Symbol.dispose]();
      store[Symbol.dispose]();
    },
  };
}

/** Does all the work at once. */
function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

function read(store: EdgeStore, span: Partial<Span> = {}) {
  const reader = new HistoryReader(store, {
    from: undefined,
    to: Infinity,
    filter: undefined,
    ...span,
  });
  const beginning: Beginning = atOnce(reader.begin());
  const edges = [...reader.edges()].flat().filter(isEdge);
  return { beginning, edges, lost: beginning.lost + reader.lost };
}

const textOf = ({ line, bits, time }: StoredEdge) =>
  `${time / SECOND} ${line.title} ${decodeValue(bits & 15)}`;

const statesOf = ({ lines }: Beginning) =>
  lines.map(({ line, state }) => `${line.title} ${decodeValue(state)}`);

Deno.test("a history has the edges of a time, and the state before them", () => {
  using made = rig();
  const { store, press, start, stop } = made;
  for (let i = 0; i < 6; i++) {
    press.write(i * SECOND, i < 3 ? start : stop, i % 2 === 0 ? 1 : 0);
  }
  const all = read(store);
  assertEquals(all.edges.map(textOf), [
    "0 START 1",
    "1 START 0",
    "2 START 1",
    "3 STOP 0",
    "4 STOP 1",
    "5 STOP 0",
  ]);
  assertEquals(all.lost, 0);
  const some = read(store, { from: 1 * SECOND, to: 3 * SECOND });
  assertEquals(some.edges.map(textOf), ["1 START 0", "2 START 1", "3 STOP 0"]);
  // STOP was what its first edge began with.
  assertEquals(statesOf(some.beginning), ["START 1", "STOP 1"]);
  const late = read(store, { from: 9 * SECOND });
  assertEquals([late.edges, late.lost], [[], 0]);
  assertEquals(statesOf(late.beginning), ["START 1", "STOP 0"]);
});

Deno.test("a history begins where the record does, and counts what is gone", () => {
  using made = rig(4);
  const { store, press, start } = made;
  for (let i = 0; i < 10; i++) press.write(i * SECOND, start, i % 2 ? 0 : 1);
  const { beginning, edges, lost } = read(store, { from: 0 });
  assertEquals([beginning.from, lost], [7 * SECOND, 7]);
  assertEquals(edges.map(textOf), ["7 START 0", "8 START 1", "9 START 0"]);
  assertEquals(statesOf(beginning), ["START 1", "STOP 0"]);
  assertEquals(read(store, { from: 8 * SECOND }).lost, 0);
});

Deno.test("what a line began with is not told where later edges are gone", () => {
  using made = rig(4);
  const { store, press, start, stop } = made;
  press.write(0, stop, 1);
  for (let i = 1; i < 10; i++) press.write(i * SECOND, start, i % 2 ? 0 : 1);
  const span = { from: -SECOND, to: Infinity, filter: undefined };
  const reader = new HistoryReader(store, span);
  const beginning = atOnce(reader.begin());
  assertEquals(
    beginning.lines.map(({ begins, later }) => [begins, later]),
    [[undefined, undefined], [undefined, undefined]],
  );
  // It is what it was after its edge that is gone.
  assertEquals(statesOf(beginning), ["START 1", "STOP 1"]);
  assertEquals(
    [...reader.edges()].flat().map(textOf),
    ["7 START 0", "8 START 1", "9 START 0"],
  );
});

Deno.test("the state of a line whose edges are gone is that at the begin, not a later one", () => {
  using made = rig(4);
  const { store, press, start, stop } = made;
  press.write(0, stop, 1);
  for (let i = 1; i < 10; i++) press.write(i * SECOND, start, i % 2 ? 0 : 1);
  const span = { from: 8 * SECOND, to: Infinity, filter: undefined };
  const reader = new HistoryReader(store, span);
  // Comes while the history is read.
  press.write(10 * SECOND, stop, 0);
  assertEquals(statesOf(atOnce(reader.begin())), ["START 0", "STOP 1"]);
});

Deno.test("edges of several records, and late ones of the kernel, are in the order of time", () => {
  using made = rig();
  const { store, press, start, stop } = made;
  using crane = new EdgeSourceDouble(store);
  const ready = crane.begin("crane", ["READY"]);
  press.write(3, start, 1);
  press.write(2, stop, 1);
  crane.write(1, ready, 1);
  crane.write(4, ready, 0);
  assertEquals(
    read(store).edges.map(({ line: { title }, time }) => `${title} ${time}`),
    ["READY 1", "STOP 2", "START 3", "READY 4"],
  );
  const filter = ({ title }: { title: string }) => title === "READY";
  assertEquals(read(store, { filter }).edges.length, 2);
});

Deno.test("a history ends, whatever times another process wrote", () => {
  using made = rig(10_000);
  const { store, press, start } = made;
  // Each piece that is read ends with one.
  for (let i = 1; i <= 6000; i++) {
    press.write(i % 512 === 0 ? NaN : i, start, i % 2 === 0 ? 0 : 1);
  }
  const reader = new HistoryReader(store, {
    from: undefined,
    to: SECOND,
    filter: undefined,
  });
  atOnce(reader.begin());
  let pieces = 0;
  for (const _piece of reader.edges()) if (++pieces > 1000) break;
  assertEquals(pieces < 1000, true);
});

Deno.test("a line is absent before its aggregator and after it", () => {
  using made = rig();
  const { store, press, start } = made;
  press.write(1 * SECOND, start, 1);
  const late = press.begin("late", ["L"], 2 * SECOND);
  press.write(3 * SECOND, late, 1);
  press.source.ended(late, 1);
  const { beginning } = read(store, { from: 1 * SECOND });
  assertEquals(statesOf(beginning), [
    "START 0",
    "STOP 0",
    "L undefined",
  ]);
  const offset = store.offset;
  const text = historyText("vcd", offset, "test");
  const reader = new HistoryReader(store, {
    from: 1 * SECOND,
    to: Infinity,
    filter: ({ title }) => title === "L",
  });
  const head = text.head(atOnce(reader.begin()), offset);
  const changes = [...reader.edges()].map((edges) => text.edges(edges)).join(
    "",
  );
  assertEquals(head.includes("x!\n"), true);
  assertEquals(
    changes.split("\n").filter((line) => /^[01x]/.test(line)),
    ["0!", "1!", "x!"],
  );
});

Deno.test("JSON tells when lines begin and end", () => {
  using made = rig();
  const { store, press, start } = made;
  press.write(1 * SECOND, start, 1);
  const late = press.begin("late", ["L"], 2 * SECOND);
  press.source.ended(late, 1);
  press.begin("later", ["M"], 3 * SECOND);
  press.begin("latest", ["N"], 9e18);
  const { end } = press.source.blocks[1]!;
  const { offset } = store;
  const linesOf = (from: number, to: number) => {
    const reader = new HistoryReader(store, { from, to, filter: undefined });
    const text = historyText("json", offset, "test");
    const json = text.head(atOnce(reader.begin()), offset) +
      text.tail({ lost: 0, next: undefined });
    const at = (time?: string) =>
      time === undefined ? undefined : Number(BigInt(time) - offset);
    return (JSON.parse(json) as History).lines.map((
      { line, value, begins, ends },
    ) => [line, value, at(begins), at(ends)]);
  };
  assertEquals(linesOf(1.5 * SECOND, 8e18), [
    ["START", 1, undefined, undefined],
    ["STOP", 0, undefined, undefined],
    ["L", 0, 2 * SECOND, Math.round(end!)],
    ["M", 0, 3 * SECOND, undefined],
  ]);
  // What is over before the begin is left out, and what begins after the end.
  assertEquals(linesOf(2.5 * SECOND, 2.6 * SECOND), [
    ["START", 1, undefined, undefined],
    ["STOP", 0, undefined, undefined],
    ["L", 0, undefined, undefined],
  ]);
  assertEquals(linesOf(end! + 1, end! + 2).length, 3);
});

testLarge("a long record is read back complete, in every format", () => {
  const offset = 1_700_000_000_000_000_000n;
  for (
    const [format, count] of [["json", rounds(1_000_000, 20_000)], [
      "csv",
      10_000,
    ], [
      "vcd",
      10_000,
    ]] as const
  ) {
    using made = rig(count + 1);
    const { store, press, start } = made;
    for (let i = 0; i < count; i++) press.write(i, start, i % 2 ? 0 : 1);
    const reader = new HistoryReader(store, {
      from: undefined,
      to: count,
      filter: undefined,
    });
    const text = historyText(format, offset, "test");
    let edges = 0;
    const beginning = atOnce(reader.begin());
    text.head(beginning, offset);
    for (const piece of reader.edges()) {
      edges += text.edges(piece).match(
        /"kind":"value"|,world$|^[01]!$/gm,
      )?.length ?? 0;
    }
    assertEquals([format, edges, beginning.lost + reader.lost], [
      format,
      count,
      0,
    ]);
  }
});

Deno.test("EdgeCursor goes on where it was, also from its text", () => {
  using made = rig();
  const { store, press, start } = made;
  press.write(1, start, 1);
  const cursor = new EdgeCursor(store);
  assertEquals(cursor.isBehind, false);
  press.write(2, start, 0);
  press.write(3, start, 1);
  const text = String(cursor);
  assertEquals(cursor.read(1).edges.map(({ number }) => number), [1]);
  assertEquals(cursor.read(9).edges.map(({ number }) => number), [2]);
  assertEquals(cursor.isBehind, false);
  // One that began meanwhile is read from its beginning.
  using crane = new EdgeSourceDouble(store);
  crane.write(4, crane.begin("crane", ["READY"]), 1);
  const again = EdgeCursor.of(text, store)!;
  assertEquals(again.read(9).edges.map(({ time }) => time), [2, 3, 4]);
  for (const bad of ["x", "1", "1:2:3", "1:99999999999999999"]) {
    assertEquals(EdgeCursor.of(bad, store), undefined);
  }
  // What another process claims is not believed.
  assertEquals(EdgeCursor.of("0:999999", store)!.read(9).edges.length, 1);
});

Deno.test("EdgeCursor counts what was overwritten, and waits for lines that are to come", () => {
  using made = rig(4);
  const { store, press, start } = made;
  const cursor = new EdgeCursor(store);
  for (let i = 0; i < 10; i++) press.write(i, start, i % 2 ? 0 : 1);
  const { edges, lost } = cursor.read(9);
  assertEquals([edges.length, lost], [3, 7]);
  press.write(11, 40, 1);
  assertEquals(cursor.read(9), { edges: [], lost: 0 });
  assertEquals(cursor.isBehind, true);
});

Deno.test("EdgeCursor does not wait for ever for a line that another process claims", () => {
  using made = rig();
  const { store, press, start } = made;
  let now = 0;
  const cursor = new EdgeCursor(store, () => now);
  press.write(1, 40, 1);
  press.write(2, start, 1);
  assertEquals(cursor.read(9), { edges: [], lost: 0 });
  now += 9_000;
  assertEquals(cursor.read(9), { edges: [], lost: 0 });
  now += 2_000;
  const { edges, lost } = cursor.read(9);
  assertEquals([edges.map(({ time }) => time), lost], [[2], 1]);
  assertEquals(cursor.isBehind, false);
});

Deno.test("a store frees the records of reactors that ended, but for the last ones", () => {
  using store = edgeStore(16);
  const doubles = Array.from({ length: 10 }, () => new EdgeSourceDouble(store));
  for (const [i, double] of doubles.entries()) {
    double.begin(`a${i}`, ["L"]);
    double.source.close();
    double.source.close();
    double[Symbol.dispose]();
  }
  assertEquals(store.sources.length, 8);
  assertEquals(doubles[0]!.source.reader, undefined);
  assertEquals(read(store).edges, []);
});
