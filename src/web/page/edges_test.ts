import { assertEquals } from "@std/assert";
import {
  clockText,
  findRuns,
  LineEdges,
  microseconds,
  nearestEdge,
  neighbour,
  periodText,
  UNKNOWN,
} from "./edges.js";

/** A line that is low at 0 and changes at each of these times. */
function line(...times: number[]): LineEdges {
  const made = new LineEdges();
  made.add(0, 0, "", -1);
  times.forEach((time, i) => made.add(time, (i + 1) % 2, "world", i));
  return made;
}

Deno.test("an edge has its place by its time, and counts once", () => {
  const edges = line(100, 300);
  edges.add(200, 0, "guest", 7);
  edges.add(300, 0, "world", 1);
  edges.add(100, 1, "world", 0);
  assertEquals(edges.times, [0, 100, 200, 300]);
  // Two at one time stay in their order, whichever comes first.
  edges.add(300, 1, "world", 2);
  edges.add(200, 1, "guest", 6);
  assertEquals(edges.numbers, [-1, 0, 6, 7, 1, 2]);
  assertEquals([99, 100, 250, 1000].map((time) => edges.levelAt(time)), [
    0,
    1,
    0,
    1,
  ]);
  assertEquals(edges.levelAt(-1), UNKNOWN);
  assertEquals(nearestEdge(edges, 140), 100);
  assertEquals(nearestEdge(edges, 160), 200);
  assertEquals(nearestEdge(edges, 9999), 300);
});

Deno.test("runs show each level where it is, and no level where edges are dense", () => {
  // A pixel is 10 µs.
  const edges = line(105, 205, 206, 207, 215, 216);
  const runs = findRuns(edges, 0, 400, 40);
  assertEquals(
    runs.map(({ kind, start, end, edges }) => [kind, start, end, edges]),
    [
      ["low", 0, 10, 0],
      ["high", 10, 20, 0],
      ["dense", 20, 22, 5],
      ["low", 22, 40, 0],
    ],
  );
  // Nothing overlaps, and nothing is left out.
  let at = 0;
  for (const { start, end } of runs) {
    assertEquals(start, at);
    at = end;
  }
  assertEquals(at, 40);
});

Deno.test("a short pulse is never lost, whatever the window is", () => {
  const edges = line(5000, 5001);
  for (const span of [10_000, 100_000, 1e9, 1e12]) {
    const runs = findRuns(edges, 0, span, 500);
    const shown = runs.reduce(
      (sum, { edges, rises }) => sum + (rises ? 1 : edges),
      0,
    );
    assertEquals(shown, 2, String(span));
  }
});

Deno.test("all edges of a window are counted, however many they are", () => {
  const edges = line(...Array.from({ length: 20_000 }, (_, i) => 7 * i + 1));
  for (const width of [1, 3, 100, 999]) {
    const runs = findRuns(edges, 0, 7 * 20_000, width);
    const shown = runs.reduce(
      (sum, { edges, rises }) => sum + (rises ? 1 : edges),
      0,
    );
    assertEquals(shown, 20_000, String(width));
  }
});

Deno.test("an absent chip has no level, and what was before the first edge neither", () => {
  const edges = new LineEdges();
  edges.add(100, 1, "world", 1);
  edges.add(200, UNKNOWN, "world", 2);
  assertEquals(
    findRuns(edges, 0, 300, 3).map(({ kind }) => kind),
    ["unknown", "high", "unknown"],
  );
});

Deno.test("the oldest edges go first, and it is said since when they are there", () => {
  const edges = new LineEdges();
  for (let i = 0; i < 300_000; i++) edges.add(i, i % 2, "guest", i);
  assertEquals(edges.times.length + edges.dropped, 300_000);
  assertEquals(edges.times.length <= 250_000, true);
  assertEquals(edges.since, edges.times[0]);
  assertEquals(edges.times.at(-1), 299_999);
});

Deno.test("a level that is known without an edge counts until the edges come", () => {
  const edges = new LineEdges();
  edges.note(1000, 1);
  edges.note(1500, 1);
  assertEquals(edges.times, [1000]);
  // The past comes later: it was so since 700.
  edges.note(500, 0);
  edges.add(700, 1, "guest", 3);
  edges.dropNeedlessNotes();
  assertEquals(edges.times, [500, 700]);
  assertEquals(edges.causes, ["", "guest"]);
});

Deno.test("edges of the past are merged in one go, each once", () => {
  const edges = new LineEdges();
  edges.add(300, 1, "guest", 3);
  edges.add(400, 0, "guest", 4);
  edges.add(400, 1, "guest", 6);
  const edge = (time: number, level: number, number: number) => ({
    time,
    level,
    cause: "world",
    number,
  });
  edges.addAll([]);
  edges.addAll([
    edge(400, 1, 5),
    edge(300, 1, 3),
    edge(100, 1, 1),
    edge(200, 0, 2),
    edge(500, 0, 7),
  ]);
  assertEquals(edges.numbers, [1, 2, 3, 4, 5, 6, 7]);
  assertEquals(edges.times, [100, 200, 300, 400, 400, 400, 500]);
  assertEquals(edges.causes[2], "guest");
  // At a slightly different time, as another answer has it.
  edges.addAll([edge(102, 1, 1), edge(499, 0, 7)]);
  edges.add(199, 0, "world", 2);
  assertEquals(edges.times.length, 7);
  assertEquals(edges.since, 100);
  assertEquals(edges.countOfEdges, 7);
});

Deno.test("the edges before and after a time are found", () => {
  const edges = new LineEdges();
  for (const [i, time] of [100, 200, 200, 300].entries()) {
    edges.add(time, i % 2, "guest", i);
  }
  const around = (time: number) => [
    neighbour(edges, time, -1),
    neighbour(edges, time, 1),
  ];
  assertEquals(around(50), [undefined, 100]);
  assertEquals(around(200), [100, 300]);
  assertEquals(around(300), [200, undefined]);
});

Deno.test("times and periods are text of their size", () => {
  assertEquals(microseconds("1795967407317482731"), 1795967407317482);
  assertEquals(periodText(17), "17 µs");
  assertEquals(periodText(-1500), "-1.500 ms");
  assertEquals(periodText(2.5e6), "2.500 s");
  assertEquals(periodText(83e6), "1 m 23 s");
  assertEquals(periodText(-3 * 3600e6), "-3 h 0 m");
  const noon = new Date(2026, 0, 31, 12, 0, 5).getTime() * 1000;
  assertEquals(clockText(noon + 42), "12:00:05.000");
  assertEquals(clockText(noon + 42, 6), "12:00:05.000042");
});
