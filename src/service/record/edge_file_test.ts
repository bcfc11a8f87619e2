import { assert, assertEquals } from "@std/assert";
import {
  EdgeSourceDouble,
  edgeStore,
} from "../../../tests/doubles/edge_store.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { readRecording } from "../../recording/read_recording.ts";
import { signalText } from "../../recording/recording.ts";
import { lineState } from "../../edges/record.ts";
import { EdgeFile } from "./edge_file.ts";
import type { EdgeSink } from "./edge_sink.ts";
import type { EdgeStore } from "./edge_store.ts";

const SECOND = 1e9;

/** A disk that can be full. */
class SinkDouble implements EdgeSink {
  older = "";
  text = "";
  rotations = 0;
  isClosed = false;
  isFull = false;
  /** Another process took it away. */
  isGone = false;
  attempts = 0;

  get size(): number {
    return this.text.length;
  }

  append(bytes: Uint8Array): Promise<void> {
    this.attempts++;
    if (this.isFull) return Promise.reject(new Error("no space left"));
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve();
  }

  openReader(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  rotate(): Promise<void> {
    this.rotations++;
    this.older = this.text;
    this.text = "";
    return Promise.resolve();
  }

  isWhole(): Promise<boolean> {
    return Promise.resolve(!this.isGone);
  }

  restart(): void {
    this.text = "";
    this.isGone = false;
  }

  close(): void {
    this.isClosed = true;
  }
}

function rig({ keep = 1000, limit = 1e6 } = {}) {
  const store: EdgeStore = edgeStore(keep);
  const source = new EdgeSourceDouble(store);
  const sink = new SinkDouble();
  const told: string[] = [];
  const file = new EdgeFile(store, sink, {
    path: "/var/edges",
    limit,
    tell: (text) => told.push(text),
    intervals: { look: 1, retry: 1 },
  });
  return {
    store,
    source,
    sink,
    told,
    file,
    /** Waits until the file has looked, and something holds. */
    until: async (isSo: () => boolean) => {
      while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
    },
    [Symbol.asyncDispose]: async () => {
      await file.close(60_000);
      source[Symbol.dispose]();
      store[Symbol.dispose]();
    },
  };
}

/** Lines without those that say that all states follow. */
function rows(text: string): string[] {
  return text.split("\n").filter((line) =>
    line !== "" && !line.startsWith('{"event":"record"')
  );
}

/** Entries as `START 1 world`, and others by their event. */
function entries(text: string): string[] {
  return rows(text).map((row) => {
    const { event, count, line: name, value, cause } = JSON.parse(row);
    if (event !== undefined) return `${event} ${count}`;
    return `${name} ${value}${cause ? ` ${cause}` : ""}`;
  });
}

Deno.test("EdgeFile writes lines as they begin, their edges, and their end", async () => {
  await using test = rig();
  const { source, sink } = test;
  const start = source.begin("press", ["START", "STOP"], SECOND);
  source.write(2 * SECOND, start, 1);
  source.write(3 * SECOND, start, 0);
  source.write(4 * SECOND, start + 1, 1);
  await test.until(() => entries(sink.text).length === 5);
  source.source.ended(start, 2);
  await test.file.close(60_000);
  assertEquals(entries(sink.text), [
    "START 0",
    "STOP 0",
    "START 1 world",
    "START 0 world",
    "STOP 1 world",
    "START null",
    "STOP null",
  ]);
  assert(sink.isClosed);
  const { signals, edges } = readRecording([
    new TextEncoder().encode(sink.text),
  ]);
  assertEquals(signals.map(signalText), ["press.START", "press.STOP"]);
  const times = Array.from({ length: 5 }, (_, i) => edges.timeNs(i) / SECOND)
    .map(Math.round);
  assertEquals(times, [0, 0, 1, 2, 3]);
});

Deno.test("EdgeFile has what came before its end", async () => {
  await using test = rig();
  const start = test.source.begin("press", ["START"]);
  test.source.write(SECOND, start, 1);
  await test.file.close(60_000);
  assertEquals(entries(test.sink.text), ["START 0", "START 1 world"]);
});

Deno.test("EdgeFile begins again where another process took the file away", async () => {
  await using test = rig();
  const { source, sink, told } = test;
  const start = source.begin("press", ["START", "STOP"]);
  source.write(SECOND, start, 1);
  await test.until(() => entries(sink.text).length === 3);
  sink.text = "";
  sink.isGone = true;
  source.write(2 * SECOND, start + 1, 1);
  await test.until(() => sink.text !== "");
  assertEquals(entries(sink.text), ["START 1", "STOP 0", "STOP 1 world"]);
  assertEquals(sink.text.split("\n")[0]!.includes("record"), true);
  assertEquals(told, [
    "the record of edges /var/edges was removed, moved or truncated: it " +
    "begins again",
  ]);
});

Deno.test("EdgeFile stays within its size, and each file begins with all values", async () => {
  const limit = 8000;
  await using test = rig({ limit });
  const { source, sink } = test;
  const start = source.begin("press", ["START", "STOP"]);
  source.write(SECOND, start + 1, 1);
  await test.until(() => sink.text !== "");
  const [begin] = seconds(sink.text);
  let written = 2;
  while (sink.rotations < 5) {
    for (let i = 0; i < 7; i++) {
      source.write((1 + written) * SECOND, start, (written & 1) === 0 ? 1 : 0);
      written++;
    }
    await test.until(() => seconds(sink.text).at(-1) === begin! + written);
    assert(sink.text.length + sink.older.length <= limit);
  }
  assertEquals(entries(sink.text)[1], "STOP 1");
});

/** Times of entries in whole seconds. */
function seconds(text: string): number[] {
  return rows(text).map((line) =>
    Math.round(Date.parse(JSON.parse(line).time) / 1000)
  );
}

Deno.test("EdgeFile reports a full disk once, waits with the edges, and goes on", async () => {
  await using test = rig();
  const { source, sink, told } = test;
  const start = source.begin("press", ["START"]);
  await test.until(() => sink.text !== "");
  sink.isFull = true;
  source.write(SECOND, start, 1);
  const before = sink.attempts;
  await test.until(() => sink.attempts >= before + 3);
  source.write(2 * SECOND, start, 0);
  assertEquals(told, [
    "Cannot write the record of edges to /var/edges: no space left; it is " +
    "retried, and edges wait in memory",
  ]);
  sink.isFull = false;
  await test.until(() => entries(sink.text).length === 3);
  assertEquals(entries(sink.text), [
    "START 0",
    "START 1 world",
    "START 0 world",
  ]);
  await test.until(() => told.length === 2);
  assertEquals(told[1], "the record of edges /var/edges is written again");
});

Deno.test("EdgeFile counts edges for which there was no memory, and tells what lines are after them", async () => {
  await using test = rig({ keep: 8 });
  const { source, sink, told } = test;
  const start = source.begin("press", ["START", "STOP", "IDLE"]);
  await test.until(() => sink.text !== "");
  sink.isFull = true;
  source.write(SECOND, start, 1);
  await test.until(() => told.length === 1);
  // These do not fit.
  source.write(2 * SECOND, start + 1, 1);
  for (let i = 0; i < 21; i++) {
    source.write((3 + i) * SECOND, start, (i & 1) as 0 | 1);
  }
  sink.isFull = false;
  await test.until(() => told.length === 3);
  assertEquals(entries(sink.text), [
    "START 0",
    "STOP 0",
    "IDLE 0",
    "START 1 world",
    "lost 15",
    // Its edge is one of those that are missing.
    "STOP 1",
    "START 0 world",
    "START 1 world",
    "START 0 world",
    "START 1 world",
    "START 0 world",
    "START 1 world",
    "START 0 world",
  ]);
  assertEquals(told.slice(1), [
    "the record of edges /var/edges is written again",
    "the record of edges /var/edges: 15 edges are missing, which were more " +
    "than memory holds",
  ]);
});

Deno.test("EdgeFile goes on after times that no clock has", async () => {
  await using test = rig();
  const { source, sink } = test;
  source.begin("lost", ["A"], 1e300);
  const start = source.begin("press", ["START"], SECOND);
  for (const time of [NaN, 1e300, -1e300]) {
    source.write(time, start, 1);
    source.write(2 * SECOND, start, 0);
  }
  await test.until(() => entries(sink.text).length === 8);
  assertEquals(entries(sink.text).slice(0, 3), [
    "START 0",
    "START 1 world",
    "START 0 world",
  ]);
  assertEquals(entries(sink.text).at(-1), "A 0");
});

Deno.test("EdgeFile has what the history needs: numbers, directions, begins, ends", async () => {
  await using test = rig();
  const { source, sink } = test;
  const start = source.begin("press", ["START"], SECOND);
  source.write(2 * SECOND, start, 1);
  const away = lineState(1, true, false);
  source.change(3 * SECOND, start, lineState(1, false, true), away);
  source.change(4 * SECOND, start, away, lineState(1, true, true));
  source.source.ended(start, 1);
  await test.file.close(60_000);
  const line = { aggregator: "press", line: "START" };
  const [record, ...others] = sink.text.trimEnd().split("\n")
    .map((text) => JSON.parse(text));
  assertEquals([record.event, record.version, record.run.length], [
    "record",
    2,
    8,
  ]);
  assertEquals(others.map(({ time: _, ...entry }) => entry), [
    { ...line, value: 0, lineNumber: 0, direction: "input", begins: true },
    { ...line, value: 1, cause: "world", number: 0 },
    {
      ...line,
      value: null,
      cause: "world",
      number: 1,
      direction: "output",
      present: false,
    },
    {
      ...line,
      value: 1,
      cause: "world",
      number: 2,
      direction: "output",
      present: true,
    },
    {
      ...line,
      value: null,
      lineNumber: 0,
      direction: "input",
      present: false,
      ends: true,
    },
  ]);
});

Deno.test("EdgeFile tells the end of lines before those that take their place", async () => {
  await using test = rig();
  const { source, sink } = test;
  const first = source.begin("press", ["START"], SECOND);
  source.write(2 * SECOND, first, 1);
  source.source.ended(first, 1);
  // The end was told later than it was.
  const second = source.begin("press", ["START"], 3 * SECOND);
  source.write(4 * SECOND, second, 1);
  await test.file.close(60_000);
  assertEquals(entries(sink.text), [
    "START 0",
    "START 1 world",
    "START null",
    "START 0",
    "START 1 world",
  ]);
});

Deno.test("EdgeFile has edges of several records in the order of time, however many wait", async () => {
  await using test = rig({ keep: 4000 });
  const { source, sink, store } = test;
  using crane = new EdgeSourceDouble(store);
  const start = source.begin("press", ["START"]);
  const up = crane.begin("crane", ["UP"]);
  sink.isFull = true;
  crane.write(1, up, 1);
  await test.until(() => sink.attempts > 0);
  for (let i = 0; i < 3000; i++) {
    source.write((2 + i) * SECOND, start, (i & 1) === 0 ? 1 : 0);
  }
  crane.write(2990.5 * SECOND, up, 0);
  sink.isFull = false;
  await test.until(() => rows(sink.text).length >= 3004);
  const times = rows(sink.text).map((row) => JSON.parse(row).time);
  assertEquals(times, times.toSorted());
});

testLarge("EdgeFile repeats all states within a long file", async () => {
  await using test = rig({ limit: 1e8, keep: 20_000 });
  const { source, sink } = test;
  const start = source.begin("press", ["START", "STOP"]);
  source.write(SECOND, start + 1, 1);
  for (let i = 0; i < 12_000; i++) {
    source.write((2 + i) * SECOND, start, (i & 1) === 0 ? 1 : 0);
  }
  await test.file.close(60_000);
  const texts = sink.text.split("\n");
  const heads = texts.flatMap((text, i) =>
    text.startsWith('{"event":"record"') ? [i] : []
  );
  assertEquals(heads.length, 2);
  assertEquals(entries(texts.slice(heads[1]! + 1, heads[1]! + 3).join("\n")), [
    // As it was before the edge behind these.
    `START ${1 - JSON.parse(texts[heads[1]! + 3]!).value}`,
    "STOP 1",
  ]);
});
