import { NotThereError } from "../not_there.ts";
import { assertEquals, assertRejects } from "@std/assert";
import {
  aggregatorState,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import type { Edge, History, LineLevel } from "../../client/edges.ts";
import { recordingWriter } from "../../recording/recording_writer.ts";
import type { EdgeSource, LiveEvent } from "./edge_source.ts";
import { recordLines, type RecordOptions } from "./record_lines.ts";

const PRESS = aggregatorState("press", {
  lines: [{ ...lineState(0, "START"), value: 0 }, lineState(1)],
});
const CRANE = aggregatorState("crane", {
  lines: [{ ...lineState(0, "UP"), value: 1 }],
});

function level(name: string, value?: 0 | 1): LineLevel {
  const [aggregator, line] = name.split(".") as [string, string];
  return {
    aggregator,
    line,
    lineNumber: Number.isNaN(Number(line)) ? 0 : Number(line),
    ...(value === undefined ? {} : { value }),
    direction: "input",
    present: true,
  };
}

function edge(
  number: number,
  time: number,
  name: string,
  value: 0 | 1,
  more: Partial<Edge> = {},
): Edge {
  return {
    ...level(name, value),
    number,
    time: String(time),
    kind: "value",
    cause: "guest",
    ...more,
  };
}

function edges(...edges: Edge[]): LiveEvent {
  return { event: "edges", edges };
}

/** A service with these pages of history, and these events. */
function makeSource(
  pages: readonly Partial<History>[],
  events: readonly LiveEvent[] = [],
) {
  const asked: { from?: string; to?: string }[] = [];
  const source: EdgeSource = {
    list: () => Promise.resolve([PRESS, CRANE]),
    history: (query) => {
      const page = pages[asked.length]!;
      asked.push(query);
      return Promise.resolve({
        from: query.from ?? "0",
        to: "1000",
        lines: [],
        edges: [],
        lost: 0,
        ...page,
      });
    },
    edges: async function* () {
      yield await Promise.resolve(
        { event: "snapshot", aggregators: [PRESS, CRANE] } as const,
      );
      yield* events;
    },
  };
  return { source, asked };
}

/** Records as CSV; times are the last digits of the nanoseconds. */
async function record(
  source: EdgeSource,
  options: Partial<RecordOptions>,
  format: "csv" | "vcd" = "csv",
) {
  let text = "";
  let nowNs = 2000n;
  const told: string[] = [];
  const result = await recordLines(source, {
    words: [],
    fromNs: undefined,
    follow: true,
    ended: Promise.withResolvers<void>().promise,
    files: [{
      createWriter: (start) =>
        recordingWriter(format, { ...start, timescale: "1ns" }),
      write: (more) => text += more,
    }],
    program: "gpioagg",
    tell: (message) => told.push(message),
    now: () => nowNs++,
    ...options,
  });
  const rows = text.trimEnd().split("\n").slice(1).map((row) =>
    row.replace(/^.*?(\d{4})Z,/, "$1 ").replaceAll(",", " ").trimEnd()
  );
  return { result, text, rows, told };
}

Deno.test("the past of all lines is recorded, page by page and once", async () => {
  const { source, asked } = makeSource([
    {
      from: "100",
      lines: [level("press.START", 0), level("press.1"), level("gone.X", 1)],
      edges: [edge(1, 200, "press.START", 1), edge(2, 300, "press.1", 1)],
      lost: 3,
      notes: ["a remark"],
      next: "300",
    },
    {
      edges: [
        edge(2, 300, "press.1", 1),
        edge(3, 300, "press.1", 0),
        edge(4, 400, "press.START", 1, { kind: "direction" }),
        edge(5, 500, "gone.X", 0, { cause: "rule" }),
      ],
    },
  ]);
  const { result, rows, told } = await record(source, {
    fromNs: 50n,
    follow: false,
  });
  assertEquals(asked, [{ from: "50" }, { from: "300", to: "1000" }]);
  assertEquals(told, [
    "the service says: a remark",
    "3 older edges are not kept any more",
  ]);
  assertEquals(result, { count: 4, isCutShort: false });
  assertEquals(rows, [
    "0100 press START 0",
    "0100 press 1 x",
    "0100 crane UP x",
    "0100 gone X 1",
    "0200 press START 1 guest",
    "0300 press 1 1 guest",
    "0300 press 1 0 guest",
    "0500 gone X 0 rule",
  ]);
});

Deno.test("lines have no value while their aggregator is away", async () => {
  const lines = [
    { ...level("press.START", 0), ends: "15" },
    level("crane.UP", 1),
    { ...level("press.START", 1), begins: "30", ends: "55" },
    { ...level("press.START", 0), begins: "60" },
  ];
  const { source } = makeSource([
    { lines, edges: [edge(7, 10, "press.START", 1)], next: "30" },
    {
      lines,
      // The process of the aggregator is another one: numbers begin anew.
      edges: [
        edge(0, 40, "press.START", 0),
        edge(1, 50, "press.START", 1),
        edge(2, 70, "crane.UP", 0),
      ],
    },
  ]);
  const { rows, told } = await record(source, { fromNs: 1n, follow: false });
  assertEquals(told, []);
  assertEquals(rows.slice(3), [
    "0010 press START 1 guest",
    "0015 press START x",
    "0030 press START 1",
    "0040 press START 0 guest",
    "0050 press START 1 guest",
    "0055 press START x",
    "0060 press START 0",
    "0070 crane UP 0 guest",
  ]);
});

Deno.test("numbers that begin anew are no doubles", async () => {
  const { source } = makeSource([{
    lines: [
      { ...level("press.START", 0), ends: "15" },
      { ...level("press.START", 0), begins: "20" },
    ],
    edges: [edge(70, 10, "press.START", 1), edge(0, 30, "press.START", 1)],
  }], [
    // It came too late for the answer.
    edges(edge(0, 30, "press.START", 1), edge(1, 40, "press.START", 0)),
  ]);
  const { rows } = await record(source, {
    words: ["press.START"],
    fromNs: 1n,
  });
  assertEquals(rows.slice(-2), [
    "0030 press START 1 guest",
    "0040 press START 0 guest",
  ]);
});

Deno.test("what happens follows the past without a gap and without doubles", async () => {
  const { source } = makeSource([{
    lines: [level("press.START", 0)],
    edges: [edge(7, 900, "press.START", 1)],
  }], [
    edges(edge(7, 900, "press.START", 1), edge(8, 950, "press.START", 0)),
    edges(edge(0, 1100, "press.START", 1)),
  ]);
  const { result, rows } = await record(source, {
    words: ["press.START"],
    fromNs: 0n,
  });
  assertEquals(rows, [
    "0000 press START 0",
    "0900 press START 1 guest",
    "0950 press START 0 guest",
    "1100 press START 1 guest",
  ]);
  assertEquals(result, { count: 3, isCutShort: true }, "the service ended");
});

Deno.test("without the past a record begins with the present values", async () => {
  const { source, asked } = makeSource([], [
    edges(edge(1, 2100, "crane.UP", 0), edge(2, 2200, "press.START", 1)),
    edges(edge(3, 2300, "crane.UP", 1, { present: false })),
    { event: "removed", aggregator: "press", detail: "" },
    { event: "created", aggregator: "press", detail: "" },
  ]);
  const { rows, text } = await record(source, {
    words: ["crane", "press.START"],
  });
  assertEquals(asked, []);
  assertEquals(rows.slice(0, 6), [
    "2000 crane UP 1",
    "2000 press START 0",
    "2100 crane UP 0 guest",
    "2200 press START 1 guest",
    "2300 crane UP x guest",
    "2001 press START x",
  ]);
  assertEquals(text.includes("UP,1,\n"), true);
  const dump = await record(source, { words: ["crane"] }, "vcd");
  assertEquals(
    dump.text.split("#0\n")[1],
    "$dumpvars\n1!\n$end\n#100\n0!\n#300\nx!\n1!\n#301\n",
  );
});

Deno.test("lost events make the values unknown until they are looked up", async () => {
  const { source } = makeSource([], [{ event: "lost", count: 4 }]);
  const { rows, told } = await record(source, { words: ["press.START"] });
  assertEquals(told, [
    "4 events were lost: the values meanwhile are not known",
  ]);
  assertEquals(rows, [
    "2000 press START 0",
    "2001 press START x",
    "2002 press START 0",
  ]);
});

Deno.test("a record that ends before the service answers says what ended", async () => {
  const { source } = makeSource([], []);
  const silent: EdgeSource = {
    ...source,
    edges: async function* (signal) {
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
      yield* source.edges(signal);
    },
  };
  await assertRejects(
    () => record(silent, { ended: Promise.resolve() }),
    Error,
    "Nothing is recorded: the recording was ended before",
  );
  const over: EdgeSource = { ...source, edges: async function* () {} };
  await assertRejects(
    () => record(over, {}),
    Error,
    "Nothing is recorded: the service has ended",
  );
});

Deno.test("a record that is ended is whole, with what had not come yet", async () => {
  const stop = Promise.withResolvers<void>();
  const { source, asked } = makeSource([{
    edges: [edge(8, 2500, "crane.UP", 0), edge(9, 2600, "crane.UP", 1)],
  }], [edges(edge(8, 2500, "crane.UP", 0))]);
  const open: EdgeSource = {
    ...source,
    edges: async function* (signal) {
      yield* source.edges(signal);
      stop.resolve();
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    },
  };
  const { result, rows } = await record(open, {
    words: ["crane"],
    ended: stop.promise,
  });
  assertEquals(rows, [
    "2000 crane UP 1",
    "2500 crane UP 0 guest",
    "2600 crane UP 1 guest",
  ]);
  assertEquals(asked, [{ from: "2000", to: "2001" }]);
  assertEquals(result, { count: 2, isCutShort: false });
});

Deno.test("a record ends with what had not come yet if the wall clock was set back", async () => {
  for (const lastNs of [2_000_002_000, 900]) {
    const { source, asked } = makeSource([{
      edges: [edge(9, 1600, "crane.UP", 1)],
    }], [edges(edge(8, lastNs, "crane.UP", 0))]);
    const stop = Promise.withResolvers<void>();
    // It began at 5 s, and ends at 1.7 s.
    let nowNs = 5_000_000_000n;
    const open: EdgeSource = {
      ...source,
      edges: async function* (signal) {
        yield* source.edges(signal);
        nowNs = 1_700_000_000n;
        stop.resolve();
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        );
      },
    };
    const { result } = await record(open, {
      words: ["crane"],
      ended: stop.promise,
      now: () => nowNs,
    });
    assertEquals(asked, [{ from: "700000000", to: "1700000000" }]);
    assertEquals(result, { count: 2, isCutShort: false });
  }
});

Deno.test("errors end a record: of the service, of a file, of a name", async () => {
  const { source } = makeSource([]);
  await assertRejects(
    () => record(source, { words: ["pres"] }),
    NotThereError,
    'There is no aggregator "pres"',
  );
  const failing: EdgeSource = {
    ...source,
    edges: async function* (signal) {
      yield* source.edges(signal);
      throw new Error("it broke");
    },
  };
  await assertRejects(() => record(failing, {}), Error, "it broke");
  const full = {
    createWriter: () => ({ head: () => "", edge: () => "", end: () => "" }),
    write: () => {
      throw new Error("disk full");
    },
  };
  await assertRejects(() => record(source, { files: [full] }), Error, "full");
});
