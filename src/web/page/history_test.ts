import { assert, assertEquals } from "@std/assert";
import { LineEdges, UNKNOWN } from "./edges.js";
import { fillHistory } from "./history.js";
import { aggregators, view } from "./state.js";

/** Begin of what the service has. **Units**: microseconds since 1970. */
const BEGIN = 1_764_429_000_000_000;
const STEP = 1000;

/** A service with an edge each millisecond, which answers in parts. */
function service(
  edges: number,
  perAnswer: number,
  lives: readonly Record<string, unknown>[] = [{ value: 0 }],
) {
  const asked: number[] = [];
  const answer = (address: string) => {
    const query = new URL(address, "http://x").searchParams;
    const first = Math.max(
      0,
      Math.round(Number(BigInt(query.get("from")!) / 1000n) - BEGIN) / STEP,
    );
    asked.push(first);
    const last = Math.min(edges, first + perAnswer);
    const state = { aggregator: "press", lineNumber: 0, present: true };
    return Response.json({
      lines: lives.map((life) => ({ ...state, ...life })),
      edges: Array.from({ length: last - first }, (_, i) => ({
        ...state,
        value: (first + i + 1) % 2,
        time: `${BEGIN + (first + i) * STEP}000`,
        number: first + i,
        cause: "guest",
      })),
      ...last < edges ? { next: `${BEGIN + last * STEP}000` } : {},
    });
  };
  const real = globalThis.fetch;
  globalThis.fetch = (address) => Promise.resolve(answer(String(address)));
  const line = new LineEdges();
  line.note(BEGIN + edges * STEP, edges % 2);
  aggregators.set("press", { lines: new Map([[0, { edges: line }]]) });
  Object.assign(view, {
    span: edges * STEP + STEP,
    end: BEGIN + edges * STEP,
  });
  return {
    asked,
    line,
    [Symbol.dispose]() {
      globalThis.fetch = real;
      aggregators.clear();
    },
  };
}

Deno.test("the past is asked for in parts until it is complete, and once", async () => {
  using made = service(1000, 300);
  await fillHistory();
  assertEquals(made.asked, [0, 300, 600, 900]);
  const { numbers, levels, since } = made.line;
  assertEquals(numbers.filter((one: number) => one >= 0).length, 1000);
  assertEquals(levels.slice(0, 4), [0, 1, 0, 1]);
  assert(since < BEGIN);
  await fillHistory();
  assertEquals(made.asked.length, 4);
});

Deno.test("a line has no level before it was there, and while it was away", async () => {
  const at = (ms: number) => `${BEGIN + ms * STEP}000`;
  using made = service(3, 10, [
    { value: 1, ends: at(-15) },
    { value: 0, begins: at(-1) },
  ]);
  view.span *= 10;
  await fillHistory();
  const levels = [-20, -14, -2, -1, 0].map((ms) =>
    made.line.levelAt(BEGIN + ms * STEP)
  );
  assertEquals(levels, [1, UNKNOWN, UNKNOWN, 0, 1]);
});

Deno.test("a line that ends right after an edge has no level from then on", async () => {
  using made = service(1, 10, [
    { value: 0, ends: `${BEGIN}001` },
    { value: 0, begins: `${BEGIN + STEP}000` },
  ]);
  view.span *= 10;
  await fillHistory();
  const levels = [-1, 0, 500, STEP].map((us) => made.line.levelAt(BEGIN + us));
  assertEquals(levels, [0, 1, UNKNOWN, 0]);
});

Deno.test("what the service has more than is asked for is unknown, not a level", async () => {
  using made = service(1000, 10);
  await fillHistory();
  assertEquals(made.asked.length, 50);
  const at = (edge: number) => made.line.levelAt(BEGIN + edge * STEP);
  assertEquals([at(498), at(499)], [1, 0]);
  assertEquals([at(500), at(999)], [UNKNOWN, UNKNOWN]);
  assertEquals(at(1000), 0);
});
