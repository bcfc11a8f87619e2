import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  EdgeSourceDouble,
  edgeStore,
} from "../../../tests/doubles/edge_store.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import type { History } from "../../client/edges.ts";
import { lineState } from "../../edges/record.ts";
import { EdgeArchive } from "./edge_archive.ts";
import { EdgeFile } from "./edge_file.ts";
import type { EdgeFileReader, EdgeSink } from "./edge_sink.ts";
import type { LineFilter } from "./edge_cursor.ts";
import { FileHistory, openHistory } from "./file_history.ts";
import { historyText } from "./history_formats.ts";
import { isEdge, wallTime } from "./stored_edge.ts";

const SECOND = 1e9;

/** Files in memory, which can be read. */
class Disk implements EdgeSink {
  older: Uint8Array | undefined;
  bytes: Uint8Array = new Uint8Array();
  rotations = 0;
  isFull = false;
  isUnreadable = false;
  /** Another process took it away. */
  isGone = false;
  /** Edges of before are not in the older file. */
  isReplaced = false;
  open = 0;

  get size(): number {
    return this.bytes.length;
  }

  append(bytes: Uint8Array): Promise<void> {
    if (this.isFull) return Promise.reject(new Error("no space left"));
    const joined = new Uint8Array(this.bytes.length + bytes.length);
    joined.set(this.bytes);
    joined.set(bytes, this.bytes.length);
    this.bytes = joined;
    return Promise.resolve();
  }

  rotate(): Promise<void> {
    this.older = this.bytes;
    this.bytes = new Uint8Array();
    this.rotations++;
    return Promise.resolve();
  }

  isWhole(): Promise<boolean> {
    return Promise.resolve(!this.isGone);
  }

  restart(): void {
    this.bytes = new Uint8Array();
    this.isGone = false;
    this.isReplaced = true;
  }

  openReader(older: boolean): Promise<EdgeFileReader | undefined> {
    if (older ? this.isReplaced : this.isGone) {
      return Promise.reject(new Error("another process has replaced it"));
    }
    if (this.isUnreadable) return Promise.reject(new Error("EIO"));
    if (older && this.older === undefined) return Promise.resolve(undefined);
    this.open++;
    const file = older ? { bytes: this.older! } : this;
    // One that is open stays the same, whatever its name is.
    let kept: Uint8Array | undefined;
    const { rotations } = this;
    const bytes = () => {
      if (rotations === this.rotations) return kept = file.bytes;
      return kept ??= this.older!;
    };
    bytes();
    return Promise.resolve({
      size: bytes().length,
      read: (at, into) => {
        if (rotations !== this.rotations && !older && kept !== undefined) {
          kept = this.rotations === rotations + 1 ? this.older! : kept;
        }
        const piece = bytes().subarray(at, at + into.length);
        into.set(piece);
        return Promise.resolve(piece.length);
      },
      close: () => {
        this.open--;
      },
    });
  }

  close(): void {}

  get text(): string {
    return new TextDecoder().decode(this.bytes);
  }

  set text(text: string) {
    this.bytes = new TextEncoder().encode(text);
  }
}

/** A run of a service, which writes to a disk. */
function writeRun(
  disk: Disk,
  { keep = 100, limit = 1e9, wall }: {
    keep?: number;
    limit?: number;
    /** A wall clock that can be set, of one boot. */
    wall?: { offset: bigint };
  } = {},
) {
  const store = edgeStore(keep, wall && (() => wall.offset));
  const press = new EdgeSourceDouble(store);
  const file = new EdgeFile(store, disk, {
    path: "/var/edges",
    limit,
    ...(wall === undefined ? {} : { boot: "b00t" }),
    tell: () => {},
    intervals: { look: 1, retry: 1 },
  });
  const archive = new EdgeArchive("/var/edges", file, disk, store);
  const { offset } = store;
  return {
    store,
    press,
    file,
    archive,
    offset,
    read: (options: ReadOptions = {}) => readAll(store, archive, options),
    [Symbol.asyncDispose]: async () => {
      await file.close(60_000);
      press[Symbol.dispose]();
      store[Symbol.dispose]();
    },
  };
}

interface ReadOptions {
  from?: number | undefined;
  to?: number;
  filter?: LineFilter;
  /** Reads what goes back further: the file, or memory. */
  isAny?: boolean;
  /** Done between two pieces. */
  meanwhile?: () => Promise<void>;
}

/** Does all the work at once. */
const run = <T>(work: Iterator<void, T>): Promise<T> => {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return Promise.resolve(value);
  }
};

async function readAll(
  store: ReturnType<typeof edgeStore>,
  archive: EdgeArchive,
  { from, to = 1e15, filter, meanwhile, isAny = false }: ReadOptions,
) {
  const { offset } = store;
  using stream = isAny
    ? await openHistory(store, archive, { from, to, filter }, { offset, run })
    : new FileHistory(store, archive, { from, to, filter }, { offset, run });
  const beginning = await stream.begin();
  const json = historyText("json", offset, "test");
  const vcd = historyText("vcd", offset, "test");
  let text = json.head(beginning, wallTime(to, offset));
  let dump = vcd.head(beginning, wallTime(to, offset));
  for (;;) {
    await meanwhile?.();
    const edges = await stream.next();
    if (edges === undefined) break;
    text += json.edges(edges);
    dump += vcd.edges(edges);
    for (const edge of edges.filter(isEdge)) assert(edge.number >= 0);
  }
  const { lost, notes } = stream;
  const end = { lost: lost + beginning.lost, next: undefined, notes };
  const history = JSON.parse(text + json.tail(end)) as History;
  const seconds = (time: string) =>
    Math.round(Number(BigInt(time) - offset) / 1e6) / 1e3;
  return {
    history,
    dump: dump + vcd.tail(end),
    lost: history.lost,
    notes: history.notes ?? [],
    edges: history.edges.map(({ time, line, value }) =>
      `${seconds(time)} ${line} ${value}`
    ),
    lines: history.lines.map(({ line, value, begins, ends }) =>
      `${line} ${value}` +
      (begins === undefined ? "" : ` from ${seconds(begins)}`) +
      (ends === undefined ? "" : ` to ${seconds(ends)}`)
    ),
    numbers: history.edges.map(({ number }) => number),
  };
}

const upTo = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i);

Deno.test("a history goes back into the file, complete, in order, without doubles", async () => {
  const disk = new Disk();
  await using made = writeRun(disk, { keep: 64 });
  const { press, file } = made;
  const start = press.begin("press", ["START"], SECOND);
  for (let i = 0; i < 500; i++) {
    press.write((2 + i) * SECOND, start, (i & 1) === 0 ? 1 : 0);
    if (i % 50 === 0) await file.catchUp(60_000);
  }
  const all = await made.read();
  assertEquals([all.numbers, all.lost], [upTo(0, 500), 0]);
  assertEquals(all.edges.slice(0, 2), ["2 START 1", "3 START 0"]);
  assertEquals(all.lines, ["START 0"]);
  const part = await made.read({ from: 100 * SECOND, to: 200 * SECOND });
  assertEquals(part.numbers, upTo(98, 199));
  assertEquals(part.lines, ["START 0"]);
  assertEquals(all.dump.match(/^[01]!$/gm)?.length, 501);
  assertEquals(disk.open, 0);
});

for (const [name, hours] of [["back", -2n], ["forward", 3n]] as const) {
  Deno.test(`a history is complete and in order after the wall clock was set ${name}`, async () => {
    const disk = new Disk();
    const wall = { offset: 1_764_428_400_000_000_000n };
    const alternate = (press: EdgeSourceDouble, id: number, from: number) => {
      for (let i = from; i < from + 40; i++) {
        press.write((2 + i) * SECOND, id, (i & 1) === 0 ? 1 : 0);
      }
    };
    {
      await using made = writeRun(disk, { keep: 64, wall });
      const start = made.press.begin("press", ["START"], SECOND);
      alternate(made.press, start, 0);
      await made.file.catchUp(60_000);
      wall.offset += hours * 3_600_000_000_000n;
      alternate(made.press, start, 40);
      await made.file.catchUp(60_000);
      alternate(made.press, start, 80);
      const all = await made.read({ isAny: true, from: 0 });
      assertEquals([all.numbers, all.lost], [upTo(0, 120), 0]);
      assertEquals(all.edges.slice(38, 42), [
        "40 START 1",
        "41 START 0",
        "42 START 1",
        "43 START 0",
      ]);
      assertEquals(all.lines, ["START 0 from 1"]);
      const part = await made.read({
        isAny: true,
        from: 30 * SECOND,
        to: 60 * SECOND,
      });
      assertEquals([part.numbers, part.lines], [upTo(28, 59), ["START 0"]]);
    }
    // Another run of this boot, before which the clock was set once more.
    wall.offset += hours * 60_000_000_000n;
    await using next = writeRun(disk, { wall });
    const start = next.press.begin("press", ["START"], 1000 * SECOND);
    next.press.write(1001 * SECOND, start, 1);
    await next.file.catchUp(60_000);
    const { edges, lines } = await next.read({ isAny: true });
    assertEquals(edges.length, 121);
    assertEquals([edges[119], edges[120]], ["121 START 0", "1001 START 1"]);
    // The first run ended after its last edge, or with it.
    assertEquals(lines.map((text) => text.replace(/to 121\b.*/, "to 121")), [
      "START 0 to 121",
      "START 0 from 1000",
    ]);
  });
}

Deno.test("a history has what is in memory only while the file cannot be written", async () => {
  const disk = new Disk();
  await using made = writeRun(disk, { keep: 64 });
  const { press, file } = made;
  const start = press.begin("press", ["START"], SECOND);
  const write = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      press.write((2 + i) * SECOND, start, (i & 1) === 0 ? 1 : 0);
    }
  };
  for (let i = 0; i < 100; i += 50) {
    write(i, i + 50);
    await file.catchUp(60_000);
  }
  disk.isFull = true;
  write(100, 130);
  const late = press.begin("late", ["L"], 131.5 * SECOND);
  press.write(132 * SECOND, late, 1);
  const all = await made.read({ from: 0 });
  assertEquals([all.numbers, all.lost], [upTo(0, 131), 0]);
  assertEquals(all.lines, ["START 0 from 1", "L 0 from 131.5"]);
  assertEquals(all.edges.at(-1), "132 L 1");
  // What was not kept anywhere is counted.
  write(131, 231);
  const { lost, numbers } = await made.read({ from: 0 });
  assertEquals([lost + numbers.length, numbers.at(-1)], [231, 230]);
  disk.isFull = false;
});

testLarge(
  "a history goes on while its file becomes the older one",
  async () => {
    const disk = new Disk();
    await using made = writeRun(disk, { keep: 256, limit: 400_000 });
    const { press, file } = made;
    const start = press.begin("press", ["START", "STOP"], SECOND);
    press.write(1.5 * SECOND, start + 1, 1);
    let written = 0;
    const write = async (count: number) => {
      for (let i = 0; i < count; i++) {
        press.write((2 + written) * SECOND, start, (written & 1) === 0 ? 1 : 0);
        if (++written % 100 === 0) await file.catchUp(60_000);
      }
    };
    await write(1200);
    assertEquals(disk.rotations, 0);
    const growing = await made.read({
      to: 2000 * SECOND,
      meanwhile: () => write(disk.rotations === 0 ? 300 : 0),
    });
    assert(disk.rotations === 1);
    assertEquals(growing.numbers, upTo(0, written + 1));
    assertEquals(growing.lost, 0);
    const again = await made.read({ from: 2 * SECOND });
    assertEquals(again.numbers, upTo(1, written + 1));
    assertEquals(again.lines, ["START 0", "STOP 1"]);
    // Older ones are gone with their file: the answer begins later.
    while (disk.rotations < 3) await write(100);
    const later = await made.read();
    assertEquals(later.numbers.at(-1), written);
    assertEquals(later.numbers, upTo(later.numbers[0]!, written + 1));
    assertEquals(later.lines.length, 2);
    assertEquals(disk.open, 0);
  },
);

Deno.test("a history tells of lines that ended, also with an earlier run that was killed", async () => {
  const disk = new Disk();
  {
    await using first = writeRun(disk);
    const one = first.press.begin("press", ["START"], SECOND);
    first.press.write(2 * SECOND, one, 1);
    const gone = first.press.begin("gone", ["G"], 2.5 * SECOND);
    first.press.write(3 * SECOND, gone, 1);
    first.press.source.ended(gone, 1);
  }
  // A killed process writes no ends.
  disk.text = disk.text.split("\n").filter((row) => !row.includes("ends"))
    .join("\n");
  await using second = writeRun(disk);
  const two = second.press.begin("press", ["START"], 10 * SECOND);
  second.press.write(11 * SECOND, two, 1);
  const { lines, edges, numbers, dump, history } = await second.read();
  assertEquals(edges, ["2 START 1", "3 G 1", "11 START 1"]);
  const last = BigInt(history.edges[1]!.time);
  assert(
    history.lines.every(({ ends }) =>
      ends === undefined || BigInt(ends) > last
    ),
    "no line ends before its last edge, nor with it",
  );
  assertEquals(numbers, [0, 1, 0]);
  assertEquals(lines, [
    "START 0 to 3",
    "G 0 from 2.5 to 3",
    "START 0 from 10",
  ]);
  const waves = dump.split("\n").filter((row) => /^[01x][!"]$/.test(row));
  // START, G: at the begin; then until the run ended, and the next one.
  assertEquals(waves.slice(0, 2), ["0!", 'x"']);
  assertEquals(waves.slice(2), [
    "1!",
    '0"',
    '1"',
    "x!",
    'x"',
    "0!",
    "1!",
  ]);
  const late = await second.read({ from: 5 * SECOND });
  assertEquals(late.lines, ["START 0 from 10"]);
});

Deno.test("a history has directions and presence as they were", async () => {
  const disk = new Disk();
  await using made = writeRun(disk);
  const { press } = made;
  const start = press.begin("press", ["START"], SECOND);
  const away = lineState(1, true, false);
  press.write(2 * SECOND, start, 1);
  press.change(3 * SECOND, start, lineState(1, false, true), away);
  press.change(4 * SECOND, start, away, lineState(1, true, true));
  press.change(
    5 * SECOND,
    start,
    lineState(1, true, true),
    lineState(1, false, true),
  );
  const { history: { edges } } = await made.read({ from: 0 });
  assertEquals(
    edges.map(({ kind, direction, present, value, cause, number }) => [
      kind,
      direction,
      present,
      value,
      cause,
      number,
    ]),
    [
      ["value", "input", true, 1, "world", 0],
      ["presence", "output", false, undefined, "world", 1],
      ["presence", "output", true, 1, "world", 2],
      ["direction", "input", true, 1, "world", 3],
    ],
  );
});

Deno.test("a history reads lines that are chosen, and files of version 1", async () => {
  const disk = new Disk();
  const row = (second: number, line: string, value: 0 | 1 | null, more = "") =>
    `{"time":"2025-11-29T15:00:0${second}Z","aggregator":"press",` +
    `"line":"${line}","value":${value}${more}}\n`;
  disk.text = row(0, "START", 0) + row(0, "7", 1) +
    row(1, "START", 1, `,"cause":"guest"`) +
    row(2, "7", 0, `,"cause":"rule (safe-after)"`) +
    row(3, "START", 0, `,"cause":"of the future"`);
  await using made = writeRun(disk);
  made.press.begin("press", ["STOP", "START"], SECOND);
  const { history } = await made.read({
    filter: ({ title }) => title !== "STOP",
  });
  assertEquals(
    history.edges.map(({ line, lineNumber, value, cause, rule }) => [
      line,
      lineNumber,
      value,
      cause,
      rule,
    ]),
    [
      ["START", 1, 1, "guest", undefined],
      ["7", 7, 0, "rule", "safe-after"],
      ["START", 1, 0, "world", undefined],
    ],
  );
  const numbers = history.edges.map(({ number }) => number);
  assertEquals(numbers, numbers.toSorted((a, b) => a - b));
  assertEquals(new Set(numbers).size, 3);
  const one = await made.read({ filter: ({ title }) => title === "7" });
  assertEquals(one.edges.length, 1);
});

Deno.test("damaged, cut and foreign files are notes of an answer", async () => {
  const disk = new Disk();
  disk.older = new TextEncoder().encode("x".repeat(600_000));
  await using made = writeRun(disk, { keep: 8 });
  const { press, file } = made;
  const start = press.begin("press", ["START"], SECOND);
  for (let i = 0; i < 20; i++) {
    press.write((2 + i) * SECOND, start, (i & 1) === 0 ? 1 : 0);
    await file.catchUp(60_000);
  }
  const whole = disk.text;
  const rows = whole.split("\n");
  rows[5] = rows[5]!.replace('"time"', '"tim');
  rows[6] = '{"time":"2025-11-29T15:00:00Z","aggregator":7}'
    .padEnd(rows[6]!.length);
  disk.text = rows.join("\n").padEnd(whole.length).slice(0, whole.length);
  const damaged = await made.read();
  assertEquals(damaged.edges.length, 18);
  assertEquals(damaged.numbers.at(-1), 19);
  assertEquals(damaged.notes.length, 1);
  assertStringIncludes(
    damaged.notes[0]!,
    "entries are not valid and are left out, the first at byte",
  );
  disk.text = whole.replace('"version":2', '"version":9');
  assertStringIncludes(
    (await made.read()).notes.join(),
    "a newer version of gpioagg (format 9) wrote a part of /var/edges",
  );
  // The file is shorter than what was written to it.
  disk.text = whole.slice(0, whole.length >> 1);
  const cut = await made.read();
  assert(cut.edges.length < 20 && cut.edges.length > 5);
  disk.isUnreadable = true;
  const none = await made.read();
  assertStringIncludes(none.notes.join(), "/var/edges cannot be read: EIO");
  assertEquals(none.numbers.at(-1), 19, "what is in memory is there");
  assertEquals([none.lines, none.lost], [["START 0"], 13]);
  disk.isUnreadable = false;
});

Deno.test("a history of a file that another process took away is that of memory", async () => {
  const disk = new Disk();
  await using made = writeRun(disk);
  const { press, archive } = made;
  const start = press.begin("press", ["START"], SECOND);
  press.write(2 * SECOND, start, 1);
  await made.read();
  // What is there now is something else.
  disk.text = '{"a":1}\n';
  disk.isGone = true;
  const gone = await made.read();
  assertEquals(gone.edges, ["2 START 1"]);
  assertStringIncludes(
    gone.notes.join(),
    "/var/edges cannot be read: another process has replaced it",
  );
  press.write(3 * SECOND, start, 0);
  const again = await made.read();
  assertEquals([disk.isGone, archive.written.generation], [false, 1]);
  assertEquals(again.edges, ["2 START 1", "3 START 0"]);
  assertStringIncludes(again.notes.join(), "/var/edges.1 cannot be read");
});

Deno.test("a history is that of memory where the file begins later", async () => {
  const disk = new Disk();
  await using made = writeRun(disk);
  const { press, store } = made;
  const at = Number(store.keptSince) + SECOND;
  const start = press.begin("press", ["START"], at);
  press.write(at + SECOND, start, 1);
  await made.file.catchUp(60_000);
  // Moved before anyone has read it.
  disk.isGone = true;
  press.write(at + 2 * SECOND, start, 0);
  await made.file.catchUp(60_000);
  assertEquals(disk.isGone, false);
  const options = { to: at + 1e12, isAny: true };
  const { history, notes } = await made.read(options);
  assertEquals(history.edges.map(({ value }) => value), [1, 0]);
  assertEquals([history.lost, notes, history.lines.length], [0, [], 1]);
  const { edges } = await made.read({ to: at + 1e12 });
  assertEquals(edges.length, 1, "the file has less");
});
