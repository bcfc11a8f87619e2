import { assertEquals, assertThrows } from "@std/assert";
import {
  EdgeSourceDouble,
  edgeStore,
} from "../../../../tests/doubles/edge_store.ts";
import {
  edgeSubscription,
  readHistoryQuery,
  requireNames,
} from "./history_query.ts";
import { HttpError } from "../requests/messages.ts";

const NOW = 1_764_428_400_000_000_000n;

function read(query: string, accept = "") {
  using store = edgeStore(16);
  using press = new EdgeSourceDouble(store);
  press.begin("press", ["START", ""]);
  return readHistoryQuery(new URLSearchParams(query), accept, NOW, store);
}

Deno.test("a history's times are those of edges, dates, and periods ago", () => {
  assertEquals(read("").from, undefined);
  for (
    const [text, expected] of [
      ["1764428399000000000", NOW - 1_000_000_000n],
      ["-10m", NOW - 600_000_000_000n],
      ["2025-11-29T15:00:00Z", NOW],
      ["1764428399.5", NOW - 500_000_000n],
    ] as const
  ) {
    assertEquals(read(`from=${text}`).from, expected, text);
  }
});

Deno.test("a history's format is asked for by its name or its type", () => {
  assertEquals(read("").format, "json");
  assertEquals(read("format=vcd").format, "vcd");
  assertEquals(read("", "text/csv").format, "csv");
  assertEquals(read("format=json", "text/csv").format, "json");
  assertEquals([read("").limit, read("format=csv").limit], [10_000, Infinity]);
});

Deno.test("what a history cannot answer is refused with the reason", () => {
  const many = Array.from({ length: 2000 }, (_, i) => `a${i}`).join();
  for (
    const [query, status, reason] of [
      ["from=soon", 400, "not a valid time for from"],
      ["from=-99999999999999999999h", 400, "not a valid time"],
      ["to=2026-13-45T99:00:00Z", 400, "not a valid time for to"],
      ["from=-1m&to=-2m", 400, "from is later than to"],
      ["limit=0", 400, "not a valid limit"],
      ["limit=99999999", 400, "not a valid limit"],
      ["limit=1e3", 400, "not a valid limit"],
      ["format=xml", 400, "not a valid format"],
      [`lines=${many}`, 400, "more than 1024 names"],
    ] as const
  ) {
    const error = assertThrows(() => read(query), HttpError, reason);
    assertEquals(error.status, status, query);
  }
});

Deno.test("names that no line has are refused", () => {
  const { missing } = read("lines=press.START,press.X,press");
  assertEquals([...missing], ["press.X"]);
  const line = { aggregator: "press", title: "X", lineNumber: 7, first: 0 };
  requireNames(missing, [line]);
  requireNames(new Set(["press", "press.7"]), [line]);
  for (
    const [name, shown] of [["press.X", "press.X"], ["\x1b[31m", "\\x1b[31m"]]
  ) {
    const error = assertThrows(
      () => requireNames(new Set([name!]), []),
      HttpError,
      `line "${shown}"`,
    );
    assertEquals(error.status, 404);
  }
  const near = assertThrows(
    () => requireNames(new Set(["press.Y"]), [line]),
    HttpError,
  );
  assertEquals(near.hint, "Did you mean press.X?");
});

Deno.test("lines are chosen by aggregator, name and number", () => {
  const line = (title: string, lineNumber: number) => ({
    aggregator: "press",
    title,
    lineNumber,
    first: 0,
  });
  const { filter } = read("lines=press.START,press.1");
  assertEquals(filter!(line("START", 0)), true);
  assertEquals(filter!(line("1", 1)), true);
  assertEquals(filter!(line("X", 2)), false);
  assertEquals(read("lines=press").filter!(line("X", 2)), true);
});

Deno.test("a listener wants edges only where it says so, and they are recorded", () => {
  using store = edgeStore(16);
  const subscription = (query: string, record = true) =>
    edgeSubscription(
      new URLSearchParams(query),
      undefined,
      record ? store : undefined,
    );
  assertEquals(subscription(""), undefined);
  assertEquals(subscription("aggregator=a&edges=0", false), undefined);
  assertEquals(typeof subscription("edges=1")?.cursor, "object");
  const filter = subscription("edges=1&aggregator=a")!.filter!;
  const line = { aggregator: "b", title: "X", lineNumber: 0, first: 0 };
  assertEquals([filter(line), filter({ ...line, aggregator: "a" })], [
    false,
    true,
  ]);
  for (const bad of ["edges=yes", "lines=a"]) {
    assertThrows(() => subscription(bad), HttpError);
  }
  assertThrows(
    () => subscription("edges=1", false),
    HttpError,
    "records no edges",
  );
});
