/** `gpioagg watch`, at a service whose events are known. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  aggregatorState,
  CannedService,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import type { Edge, History } from "../../client/edges.ts";
import type { ApiEvent } from "../../client/protocol.ts";

const PRESS = aggregatorState("press", { connected: true });
const PANEL = aggregatorState("panel", {
  kernelChip: { path: "/dev/gpiochip5", label: "panel", present: true },
  lines: [lineState(0), lineState(1)],
});

const EVENTS: readonly ApiEvent[] = [
  { event: "snapshot", aggregators: [PRESS, PANEL] },
  { event: "stopped", aggregator: "press", detail: "" },
  { event: "fault", aggregator: "press", detail: "DOOR: EREMOTEIO" },
  {
    event: "lines",
    aggregator: "press",
    lines: [
      {
        lineNumber: 0,
        name: "DOOR",
        direction: "input",
        value: 1,
        changes: 1,
      },
      { lineNumber: 1, name: "", direction: "output", changes: 3 },
    ],
  },
  { event: "lost", count: 4 },
  {
    event: "edges",
    time: 1,
    edges: [
      edge(0, "DOOR", { value: 1, cause: "world" }),
      edge(1, "1", { direction: "output", cause: "rule", rule: "safe-after" }),
      edge(0, "DOOR", { present: false, kind: "presence" }),
    ],
  },
];

function edge(lineNumber: number, line: string, more: Partial<Edge>): Edge {
  return {
    aggregator: "press",
    line,
    lineNumber,
    direction: "input",
    present: true,
    number: 1,
    time: "1764429039123456789",
    kind: "value",
    cause: "world",
    ...more,
  };
}

/** Lines without their times. */
function untimed(text: string): string[] {
  return text.split("\n").map((line) =>
    line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, "")
  );
}

/** Watches a service with these events, until it ends. */
function watch(events: readonly ApiEvent[], ...args: readonly string[]) {
  return watchPast(events, undefined, ...args);
}

async function watchPast(
  events: readonly ApiEvent[],
  history: History | undefined,
  ...args: readonly string[]
) {
  const directory = Deno.makeTempDirSync();
  try {
    const api = `${directory}/api.sock`;
    const options = history === undefined ? {} : { history };
    using service = new CannedService(api, [PRESS, PANEL], events, options);
    const result = await gpioagg(["watch", "--api", api, ...args]);
    return { ...result, asked: service.asked };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("watch prints each event on a line, until the service ends", async () => {
  const { code, stdout, stderr, asked } = await watch(EVENTS);
  assertMatch(stdout, /^\d\d:\d\d:\d\d\.\d{3} press: 1 line/);
  assertMatch(
    stdout,
    /\d\d:\d\d:39\.123 press: line 0 DOOR input 1 \(world\)$/m,
  );
  assertEquals(untimed(stdout), [
    "press: 1 line, VMM connected",
    "panel: 2 lines, chip not in use",
    "press: stopped",
    "press: fault: DOOR: EREMOTEIO",
    "4 events were lost",
    "press: line 0 DOOR input 1 (world)",
    "press: line 1 output ? (rule (safe-after))",
    "press: line 0 DOOR absent (world)",
    "",
  ]);
  assertEquals([code, stderr], [1, "gpioagg: the service has ended\n"]);
  assertEquals(asked, ["/v1/events?edges=1"]);
});

Deno.test("watch --json prints each event as the service sends it", async () => {
  const { stdout } = await watch(EVENTS, "--json");
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line)), EVENTS);
});

Deno.test("watch --since prints the past, then the present, then what follows", async () => {
  const at = (time: string, value: 0 | 1, number: number) =>
    edge(0, "DOOR", { value, cause: "world", time, number });
  const edges = [
    at("1764429039100000000", 1, 1),
    at("1764429039200999999", 0, 2),
    // While the history was read: it comes in the stream, too.
    at("1764429039201000000", 1, 3),
  ];
  const events: ApiEvent[] = [
    { event: "snapshot", time: 1_764_429_039_200, aggregators: [PRESS] },
    { event: "edges", time: 1_764_429_039_202, edges: [edges[2]!] },
    {
      event: "edges",
      time: 1_764_429_039_302,
      edges: [at("1764429039300000000", 0, 4)],
    },
  ];
  const history: History = {
    from: "0",
    to: "1764429039250000000",
    lines: [],
    edges,
    lost: 0,
  };
  const since = ["--since", "2025-11-29T00:00Z"];
  const { stdout, asked } = await watchPast(events, history, ...since);
  assertEquals(
    stdout.trimEnd().split("\n").map((line) => line.slice("12:34:".length)),
    [
      "39.100 press: line 0 DOOR input 1 (world)",
      "39.200 press: line 0 DOOR input 0 (world)",
      "39.200 press: 1 line, VMM connected",
      "39.201 press: line 0 DOOR input 1 (world)",
      "39.300 press: line 0 DOOR input 0 (world)",
    ],
  );
  assertEquals(asked.length, 2);
  const json = await watchPast(events, history, ...since, "--json");
  assertEquals(
    json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).event),
    ["edges", "snapshot", "edges", "edges"],
  );
});

Deno.test("watch NAME waits for an aggregator that is not there, and says so", async () => {
  const none: ApiEvent = { event: "snapshot", aggregators: [] };
  const created: ApiEvent = {
    event: "created",
    aggregator: "pres",
    detail: "at /run/pres.sock",
  };
  const { stdout, stderr, asked } = await watch([none, created], "pres");
  assertEquals(untimed(stdout), ["pres: created: at /run/pres.sock", ""]);
  assertStringIncludes(
    stderr,
    'waiting for aggregator "pres", which does not exist yet; did you mean ' +
      "press?\n",
  );
  assertEquals(asked, [
    "/v1/events?aggregator=pres&edges=1",
    "/v1/aggregators",
  ]);
  const other = await watch([none], "somewhere-else");
  assertMatch(other.stderr, /which does not exist yet\n/);
  const there: ApiEvent = { event: "snapshot", aggregators: [PRESS] };
  const known = await watch([there], "press");
  assertEquals(known.stderr, "gpioagg: the service has ended\n");
});

Deno.test("what an event says cannot control the terminal, nor forge a line", async () => {
  const { stdout } = await watch([
    { event: "snapshot", aggregators: [] },
    { event: "fault", aggregator: "press", detail: "\x1b[2J\npanel: removed" },
  ]);
  assertEquals(stdout.includes("\x1b"), false);
  assertEquals(stdout.split("\n").length, 2, stdout);
});

Deno.test("watch takes one name, and has a help", async () => {
  const { code, stdout, stderr, asked } = await watch([], "press", "panel");
  assertEquals([code, stdout, asked], [2, "", []]);
  assertMatch(stderr, /unexpected argument "panel"\n.*watch \[NAME\]/);
  const help = await watch([], "--help");
  assertEquals([help.code, help.stderr, help.asked], [0, "", []]);
  assertMatch(help.stdout, /^Usage: gpioagg watch \[NAME\] \[--since TIME\]/);
  const late = await watch([], "--since", "x");
  assertEquals(late.code, 2);
  assertMatch(late.stderr, /--since: "x" is not a valid time/);
});
