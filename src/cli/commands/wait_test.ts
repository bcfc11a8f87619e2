/** `gpioagg wait`, at a service whose events are known. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  aggregatorState,
  CannedService,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import type { ApiEvent } from "../../client/protocol.ts";

const PRESS = aggregatorState("press", {
  lines: [
    { ...lineState(0, "READY"), value: 0 },
    { ...lineState(1, "FAULT"), value: 1 },
    lineState(2),
  ],
});
const START: ApiEvent = { event: "snapshot", aggregators: [PRESS] };

function lines(...values: readonly [number, 0 | 1 | undefined][]): ApiEvent {
  return {
    event: "edges",
    edges: values.map(([lineNumber, value]) => ({
      aggregator: "press",
      line: "",
      lineNumber,
      direction: "input",
      ...(value === undefined ? {} : { value }),
      present: true,
      number: 0,
      time: "0",
      kind: "value",
      cause: "world",
    })),
  };
}

/** Waits at a service with these events. */
async function wait(
  events: readonly ApiEvent[],
  args: readonly string[],
  options: { staysOpen?: boolean } = {},
) {
  const directory = Deno.makeTempDirSync();
  try {
    const api = `${directory}/api.sock`;
    using service = new CannedService(api, [PRESS], events, options);
    const result = await gpioagg(["wait", "--api", api, ...args]);
    return { ...result, asked: service.asked };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("wait ends at once if the lines have their values already", async () => {
  const { code, stdout, stderr } = await wait([START], [
    "press.READY=0",
    "press.1=1",
  ]);
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

Deno.test("wait ends with the event that meets the last condition", async () => {
  const args = ["press.READY=1", "press.FAULT=0"];
  const met = [START, lines([0, 1]), lines([0, 0], [1, 0]), lines([0, 1])];
  assertEquals((await wait(met, args, { staysOpen: true })).code, 0);
  const never = [START, lines([0, 1]), lines([0, 0], [1, 0])];
  const { code, stderr } = await wait(never, args);
  assertEquals([code, stderr], [1, "gpioagg: the service has ended\n"]);
  assertEquals((await wait(never, ["--any", ...args])).code, 0);
});

Deno.test("wait for an edge is not content with a value", async () => {
  const edges = [START, lines([0, 0]), lines([0, 1]), lines([0, 0])];
  assertEquals((await wait(edges, ["press.READY=rising"])).code, 0);
  assertEquals((await wait(edges.slice(0, 2), ["press.READY=edge"])).code, 1);
  assertEquals(
    (await wait(edges.slice(0, 3), ["press.READY=falling"])).code,
    1,
  );
});

Deno.test("wait has a status of its own if the time is over", async () => {
  const { code, stdout, stderr } = await wait(
    [START],
    ["press.READY=1", "press.FAULT=1", "press.2=0", "--timeout", "20ms"],
    { staysOpen: true },
  );
  assertEquals([code, stdout], [3, ""]);
  assertEquals(
    stderr,
    "gpioagg: not in time: press.READY=1 (it is 0)\n" +
      "gpioagg: not in time: press.2=0 (its value is not known)\n",
  );
});

Deno.test("wait --timeout 0 looks once, and --json tells what it saw", async () => {
  const { code, stdout } = await wait(
    [START],
    ["press.READY=1", "press.2=0", "--timeout", "0", "--json"],
    { staysOpen: true },
  );
  const { afterMs, ...rest } = JSON.parse(stdout);
  assertEquals([code, typeof afterMs, rest], [3, "number", {
    reached: false,
    conditions: [
      { line: "press.READY", wanted: "1", value: 0, met: false },
      { line: "press.2", wanted: "0", met: false },
    ],
  }]);
});

Deno.test("wait waits for an aggregator that is not there yet", async () => {
  const { code, stderr, asked } = await wait([
    { event: "snapshot", aggregators: [] },
    { event: "created", aggregator: "press", detail: "" },
  ], ["press.FAULT=1"]);
  assertEquals(code, 0);
  assertStringIncludes(
    stderr,
    'aggregator "press", which does not exist yet\n',
  );
  assertEquals(asked, ["/v1/events?edges=1", "/v1/aggregators/press"]);
});

Deno.test("wait sees a pulse in one event, and not the older report of it", async () => {
  const pulse = lines([0, 1], [0, 0]);
  const report: ApiEvent = {
    event: "lines",
    aggregator: "press",
    lines: [{
      lineNumber: 0,
      name: "READY",
      direction: "input",
      value: 1,
      changes: 2,
    }],
  };
  assertEquals((await wait([START, pulse], ["press.READY=falling"])).code, 0);
  assertEquals((await wait([START, pulse], ["press.READY=1"])).code, 0);
  const { code } = await wait([START, report], ["press.READY=1"]);
  assertEquals(code, 1);
});

Deno.test("wait fails for a line that an aggregator does not have", async () => {
  const { code, stdout, stderr } = await wait([START], ["press.READ=1"]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /has no line "READ"\n.*Did you mean press\.READY\?/);
});

Deno.test("a line that was removed has no value", async () => {
  const { code } = await wait([
    START,
    { event: "removed", aggregator: "press", detail: "" },
    lines([0, 1]),
  ], ["press.READY=1", "press.FAULT=1"]);
  assertEquals(code, 1);
});

for (
  const [args, text] of [
    [[], "missing NAME.LINE=VALUE argument"],
    [["READY=1"], '"READY=1" is not a condition'],
    [
      ["press.A=1", "--timeout", "soon"],
      '--timeout: "soon" is not a valid time',
    ],
    [["press.A=1", "--timeout", "9999h"], "at most 596h"],
  ] as const
) {
  Deno.test(`wait ${args.join(" ")} is refused`, async () => {
    const { code, stdout, stderr } = await wait([START], args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, new RegExp(text.replace("?", "\\?")));
  });
}
