import { assert, assertEquals } from "@std/assert";
import {
  aggregatorState,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import type { Edge } from "../../client/edges.ts";
import { frame, type FrameOptions } from "./frame.ts";
import { type Key, readKeys } from "./keys.ts";
import { TopModel } from "./model.ts";
import { Screen } from "./screen.ts";
import { nearbyStep, periodText } from "./steps.ts";
import { KEPT_EDGES, LineWave } from "./wave.ts";
import { cut, fill, measureWidth } from "./width.ts";

const NOW_MS = 1_764_429_039_000;

function wave(...edges: readonly [number, 0 | 1 | undefined][]): LineWave {
  const wave = new LineWave(0, 0);
  for (const [timeMs, value] of edges) wave.push(timeMs, value);
  return wave;
}

Deno.test("a wave has a level or an edge in each character", () => {
  assertEquals(wave([25, 1], [65, 0]).text(0, 100, 10), "▁▁┌▔▔▔┐▁▁▁");
  assertEquals(wave().text(0, 100, 4), "▁▁▁▁");
  assertEquals(wave([10, 1]).text(50, 100, 4), "▔▔▔▔", "an edge before");
});

Deno.test("several edges in one character are no level", () => {
  assertEquals(wave([21, 1], [22, 0]).text(0, 100, 10), "▁▁▒▁▁▁▁▁▁▁");
  assertEquals(wave([21, 1], [22, 0], [23, 1]).text(0, 100, 5), "▁▒▔▔▔");
});

Deno.test("what is not known is shown as such, from and to", () => {
  assertEquals(wave([30, undefined], [70, 1]).text(0, 100, 10), "▁▁▁····▔▔▔");
  assertEquals(new LineWave(1, 50).text(0, 100, 4), "··▔▔");
  assertEquals(new LineWave().text(0, 100, 4), "····");
});

Deno.test("a wave forgets old edges, and says so", () => {
  const line = new LineWave(0, 0);
  const count = 3 * KEPT_EDGES;
  for (let i = 1; i <= count; i++) line.push(i, i % 2 as 0 | 1);
  assertEquals(line.text(0, 10, 1), "·");
  assertEquals(line.value, count % 2 as 0 | 1);
  assertEquals(line.text(count - 0.5, count + 0.5, 2), "▔┐");
});

Deno.test("readKeys() knows arrows, characters and a lone escape", () => {
  const c = (character: string): Key => ({ character });
  assertEquals(readKeys("q\x1b[A\x1bOB\x1b[5~\r\x7f"), [
    c("q"),
    "up",
    "down",
    "page-up",
    "enter",
    "backspace",
  ]);
  assertEquals(readKeys("\x1b"), ["escape"]);
  assertEquals(readKeys("\x1b[1;5Q\x01é😀"), [c("é"), c("😀")]);
});

Deno.test("lengths of time have steps with an end", () => {
  assertEquals(nearbyStep(10_000, -1), 5000);
  assertEquals(nearbyStep(10_000, 1), 20_000);
  assertEquals(nearbyStep(100, -1), 100);
  assertEquals(nearbyStep(3_600_000, 1), 3_600_000);
  assertEquals([500, 10_000, 300_000, 7_200_000].map(periodText), [
    "500 ms",
    "10 s",
    "5 min",
    "2 h",
  ]);
});

Deno.test("text is measured in columns", () => {
  assertEquals([
    measureWidth("ab"),
    measureWidth("日本"),
    measureWidth("e\u0301▔"),
  ], [
    2,
    4,
    2,
  ]);
  assertEquals(cut("日本", 3), "日");
  assertEquals([fill("ab", 4), fill("abcdef", 4), fill("日本語", 4)], [
    "ab  ",
    "abc~",
    "日~ ",
  ]);
});

const PRESS = aggregatorState("press", {
  connected: true,
  lines: [
    { ...lineState(0, "START"), source: "simulated line START", value: 0 },
    {
      ...lineState(1, "READY"),
      source: "line 3",
      direction: "output",
      value: 1,
    },
    { ...lineState(2), source: "line 4" },
  ],
});
const CRANE = aggregatorState("crane", {
  lines: [{ ...lineState(0, "UP"), value: 1 }],
});

function edge(timeMs: number, line: number, value: 0 | 1, more = {}): Edge {
  return {
    aggregator: "press",
    line: "",
    lineNumber: line,
    value,
    direction: "input",
    present: true,
    number: 0,
    time: `${BigInt(timeMs) * 1_000_000n}`,
    kind: "value",
    cause: "world",
    ...more,
  };
}

function model(): TopModel {
  const model = new TopModel();
  model.add(PRESS, NOW_MS - 10_000);
  model.add(CRANE, NOW_MS - 10_000);
  model.edges([
    edge(NOW_MS - 5000, 0, 1),
    edge(NOW_MS - 2500, 1, 0, { cause: "rule", rule: "safe" }),
  ]);
  return model;
}

function shown(model: TopModel, options: Partial<FrameOptions> = {}): string[] {
  return frame(model, {
    columns: 80,
    rows: undefined,
    nowMs: NOW_MS,
    timeText: "15:10:39",
    formatTime: (ms) => new Date(ms).toISOString(),
    hasColor: false,
    hasKeys: false,
    ...options,
  });
}

Deno.test("a picture has the aggregators, their lines and waves", () => {
  assertEquals(shown(model()), [
    "gpioagg  15:10:39  10 s window  1 of 2 connected  4 lines",
    "● press  VMM connected",
    "  START in  1 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁┌▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔       1  world        5 s",
    "  READY in  0 ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔┐▁▁▁▁▁▁▁▁▁       1  safe         2 s",
    "  2     in  ? ········································       0                  ",
    "○ crane  VMM not connected",
    "  UP    in  1 ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔       0                  ",
  ]);
});

Deno.test("40 columns have the name, the value and the wave", () => {
  assertEquals(shown(model(), { columns: 40 }).slice(1, 4), [
    "● press  VMM connected",
    "  START 1 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁┌▔▔▔▔▔▔▔▔▔▔▔▔▔▔",
    "  READY 0 ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔┐▁▁▁▁▁▁▁",
  ]);
});

Deno.test("no row is wider than the terminal, whatever is in it", () => {
  const one = model();
  one.add(
    aggregatorState("odd", {
      lines: [
        lineState(0, "\x1b[2J\n日本語日本語日本語日本語日本語"),
        lineState(1, "x".repeat(300)),
      ],
    }),
    NOW_MS,
  );
  one.tell("\x1b[31m" + "y".repeat(300));
  for (const columns of [1, 5, 20, 40, 59, 60, 61, 200]) {
    for (const hasColor of [false, true]) {
      for (const hasKeys of [false, true]) {
        const rows = shown(one, { columns, hasColor, hasKeys, rows: 30 });
        for (const row of rows) {
          // deno-lint-ignore no-control-regex
          const text = row.replaceAll(/\x1b\[\d*m/g, "");
          // deno-lint-ignore no-control-regex
          assert(!/[\x00-\x1f]/.test(text), JSON.stringify(text));
          assert(measureWidth(text) <= columns, `${columns}: ${text}`);
        }
      }
    }
  }
});

Deno.test("colours are there only if wanted, and end in each row", () => {
  assertEquals(shown(model()).join("").includes("\x1b"), false);
  for (const row of shown(model(), { hasColor: true, hasKeys: true })) {
    const codes = row.split("\x1b[").slice(1).map((part) => part.split("m")[0]);
    codes.forEach((code, i) => assertEquals(code === "0", i % 2 === 1, row));
  }
});

function press(model: TopModel, text: string) {
  return readKeys(text).map((key) => model.key(key, NOW_MS)).at(-1);
}

Deno.test("keys select a line, which stays in view", () => {
  const one = model();
  assertEquals(one.selected?.name, "START");
  press(one, "jj\x1b[B");
  assertEquals(one.selected?.name, "UP");
  press(one, "\x1b[B");
  assertEquals(one.selected?.name, "UP");
  const rows = shown(one, { rows: 4, hasKeys: true });
  assertEquals(rows.length, 4);
  assert(rows.some((row) => row.startsWith("> UP ")), rows.join("\n"));
  press(one, "\x1b[H");
  assertEquals(one.selected?.name, "START");
});

Deno.test("a key shows all about the selected line", () => {
  const one = new TopModel();
  one.add(
    aggregatorState("press", {
      lines: [{
        ...lineState(0, "FORWARD"),
        origin: { kind: "chip", chip: "gpiochip0", offset: 4 },
        rules: { direction: "output", safe: 0, onDisconnect: "safe" },
        interlocks: ["press.REVERSE"],
        drivenBy: "guest",
        since: NOW_MS - 5000,
        pendingRule: { rule: "safe value 0", reason: "busy", since: NOW_MS },
      }],
    }),
    NOW_MS,
  );
  one.add(
    aggregatorState("crane", {
      lines: [{
        ...lineState(0, "PEER"),
        origin: { kind: "wire", of: "press.FORWARD" },
      }],
    }),
    NOW_MS,
  );
  press(one, "\r");
  assertEquals(
    shown(one, { hasKeys: true, rows: 24 }).slice(5, -1),
    [
      "press.FORWARD, number 0",
      "  source       gpiochip0/4",
      "  followed by  crane.PEER",
      "  rules        direction=output, safe=0",
      "  excludes     press.REVERSE",
      "  driven by    guest since 2025-11-29T15:10:34.000Z (5 s)",
      "  not applied  safe value 0: busy",
    ],
  );
  assertEquals(shown(one, { hasKeys: true, rows: 8 }).length, 8);
  one.edges([edge(NOW_MS - 1000, 0, 1, { cause: "world" })]);
  const now = shown(one, { hasKeys: true, rows: 24 }).join("\n");
  assert(
    now.includes("driven by    world since 2025-11-29T15:10:38.000Z"),
    now,
  );
  one.describe(aggregatorState("press", {
    lines: [{
      ...lineState(0, "FORWARD"),
      forced: { value: 1, until: NOW_MS, by: 7, reason: "new gasket" },
    }],
  }));
  const forced = shown(one, { hasKeys: true, rows: 24 }).join("\n");
  assert(
    forced.includes(
      "forced       to 1 until 2025-11-29T15:10:39.000Z by user 7: new gasket",
    ),
    forced,
  );
  press(one, "j");
  assertEquals(shown(one, { hasKeys: true, rows: 24 }).slice(5, -1), [
    "crane.PEER, number 0",
    "  source       wire/press.FORWARD",
  ]);
  press(one, "\x1b");
  assertEquals(shown(one, { hasKeys: true, rows: 24 }).length, 6);
});

Deno.test("keys filter, pause, sort, and change the time", () => {
  const one = model();
  press(one, "/READx\x7fY");
  assertEquals(shown(one, { hasKeys: true }).at(-1), "/READY_");
  press(one, "\r");
  assertEquals(one.lines.map(({ name }) => name), ["READY"]);
  press(one, "\x1b");
  assertEquals(one.lines.length, 4);
  press(one, "r");
  assertEquals(one.lines[0]?.name, "READY", "changed last");
  assert(shown(one)[1]!.startsWith("  press.READY "), shown(one)[1]);
  press(one, "r+ ");
  assertEquals(one.view.windowMs, 5000);
  assert(shown(one, { timeText: "later" })[0]!.includes("PAUSED"));
  press(one, " -");
  assertEquals([one.view.windowMs, one.view.pausedMs], [10_000, undefined]);
  press(one, "?");
  assert(shown(one, { hasKeys: true }).length > 10);
  press(one, "/zzz\r");
  assertEquals(shown(one)[1], 'no line has "zzz" in its name');
  assertEquals(one.selected, undefined);
  assertEquals(press(one, "1"), undefined);
});

Deno.test("keys pull simulated lines only, and ask for what cannot be done here", () => {
  const one = model();
  const line = { aggregator: "press", line: "START" };
  assertEquals(press(one, "0"), { kind: "pull", ...line, level: 0 });
  assertEquals(press(one, "1"), { kind: "pull", ...line, level: 1 });
  assertEquals(press(one, "p"), { kind: "pulse", ...line, level: 0 });
  assertEquals(press(one, "j1"), undefined);
  assertEquals(one.messages, ["press.READY is not a simulated line"]);
  assertEquals(press(one, "s"), { kind: "save" });
  assertEquals(press(one, "q"), { kind: "quit" });
  assertEquals(press(one, "x\x1b[D"), undefined);
});

Deno.test("events come and go: guests, aggregators, what is lost", () => {
  const one = new TopModel("press");
  one.add(CRANE, NOW_MS);
  assertEquals(shown(one)[1], "no aggregators");
  one.add(PRESS, NOW_MS);
  const event = (
    event: "disconnected" | "removed" | "fault",
    aggregator = "press",
  ) =>
    one.event(
      { event, aggregator, detail: event === "fault" ? "EIO" : "" },
      "12:00",
    );
  event("disconnected");
  assertEquals(shown(one)[1], "○ press  VMM not connected");
  event("fault");
  event("fault", "crane");
  one.event({ event: "lost", count: 3 }, "12:01");
  event("removed");
  assertEquals(one.aggregators, []);
  assertEquals(one.messages, [
    "12:00 press: disconnected",
    "12:00 press: fault: EIO",
    "12:01 3 events were lost",
    "12:00 press: removed",
  ]);
});

Deno.test("the past comes before what a line has now", () => {
  const one = new TopModel();
  one.add(PRESS, NOW_MS);
  const sinceMs = NOW_MS - 5000;
  one.begin([
    { key: "press/0", value: 1, sinceMs },
    { key: "x/1", value: 1, sinceMs },
  ]);
  one.edges([edge(NOW_MS - 2500, 0, 0)]);
  assertEquals(shown(one, { columns: 18 })[2], "  START 0 ····▔▔┐▁");
});

Deno.test("a quiet line has its value, though the past has forgotten it", () => {
  const one = new TopModel();
  one.add(PRESS, NOW_MS);
  const sinceMs = NOW_MS - 5000;
  one.begin([
    { key: "press/0", value: undefined, sinceMs },
    { key: "press/1", value: 1, sinceMs },
  ]);
  // The other became absent meanwhile.
  one.edges([{ ...edge(NOW_MS - 2500, 1, 0), present: false }]);
  one.settle(NOW_MS - 1);
  const rows = shown(one, { columns: 18 });
  assertEquals(
    rows.slice(2, 4).map((row) => row.slice(0, 9)),
    ["  START 0", "  READY ?"],
  );
});

/** A terminal that notes what is done to it. */
function terminal() {
  const log: string[] = [];
  return {
    log,
    write: (text: string) => {
      log.push(text);
    },
    setRaw: (isRaw: boolean) => {
      log.push(isRaw ? "raw" : "cooked");
    },
  };
}

Deno.test("a screen writes what has changed, in one write", () => {
  const { log, ...io } = terminal();
  const screen = new Screen(io);
  screen.show(["before"]);
  assertEquals(log, []);
  screen.enter();
  screen.enter();
  log.length = 0;
  screen.show(["one", "two", "three"]);
  assertEquals(log, [
    "\x1b[1;1Hone\x1b[K\x1b[2;1Htwo\x1b[K\x1b[3;1Hthree\x1b[K",
  ]);
  screen.show(["one", "TWO"]);
  screen.show(["one", "TWO"]);
  assertEquals(log.slice(1), ["\x1b[2;1HTWO\x1b[K\x1b[3;1H\x1b[J"]);
  screen.clear();
  screen.show(["one"]);
  assertEquals(log.slice(2), ["\x1b[2J", "\x1b[1;1Hone\x1b[K"]);
});

Deno.test("a screen gives the terminal back, even if it cannot be written", () => {
  const { log, ...io } = terminal();
  {
    using screen = new Screen(io);
    screen.enter();
  }
  assertEquals(log, [
    "raw",
    "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J",
    "\x1b[?25h\x1b[?1049l",
    "cooked",
  ]);
  log.length = 0;
  const failing = new Screen({
    ...io,
    write: (text) => {
      if (text.includes("1049l")) throw new Error("gone");
    },
  });
  failing.enter();
  try {
    failing.leave();
  } catch {
    // As it must.
  }
  assertEquals(log, ["raw", "cooked"]);
});
