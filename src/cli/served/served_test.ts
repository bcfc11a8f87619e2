/** `get`, `mon` and `info` with `--api`, at a service whose lines are known. */
import { assertEquals } from "@std/assert";
import {
  aggregatorState,
  CannedService,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import { gpioagg } from "../../../tests/doubles/program/captured.ts";
import type { Edge } from "../../client/edges.ts";
import type { ApiEvent } from "../../client/protocol.ts";

const PRESS = aggregatorState("press", {
  lines: [
    {
      ...lineState(0, "START"),
      value: 1,
      rules: { activeLow: true, bias: "pull-up", debounceUs: 5000 },
    },
    { ...lineState(1, "LAMP"), direction: "output", value: 0 },
    lineState(2),
  ],
});
const START: ApiEvent = { event: "snapshot", aggregators: [PRESS] };

/** Calls a tool at a service with these events. */
async function call(
  tool: string,
  args: readonly string[],
  events: readonly ApiEvent[] = [],
) {
  const directory = Deno.makeTempDirSync();
  try {
    const api = `${directory}/look.sock`;
    using _service = new CannedService(api, [PRESS], events);
    const { code, stdout, stderr } = await gpioagg([
      tool,
      "--api",
      api,
      ...args,
    ]);
    return [code, stdout, stderr];
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("get --api prints values of lines of a service, as for those of chips", async () => {
  const both = ["press.LAMP", "press.START"];
  assertEquals(await call("get", both), [
    0,
    '"press.LAMP"=inactive "press.START"=active\n',
    "",
  ]);
  assertEquals(await call("get", ["--numeric", ...both]), [0, "0 1\n", ""]);
  assertEquals(await call("get", ["--json", "press.0"]), [
    0,
    '{"line":"press.START","chip":"press","offset":0,"name":"START","value":1}\n',
    "",
  ]);
});

Deno.test("get --api says what it cannot read", async () => {
  assertEquals(await call("get", ["press"]), [
    1,
    "",
    "gpioagg get: the value of line 'press.2' is not known now\n",
  ]);
  assertEquals(await call("get", ["press.STRAT"]), [
    1,
    "",
    'gpioagg get: press has no line "STRAT"\n' +
    "gpioagg get: Did you mean press.START?\n",
  ]);
  assertEquals(await call("get", ["--bias=pull-up", "press.START"]), [
    1,
    "",
    "gpioagg get: can't combine api with bias\n",
  ]);
  assertEquals(await call("get", []), [
    1,
    "",
    "gpioagg get: at least one GPIO line must be specified\n",
  ]);
});

Deno.test("info --api shows lines with their rules, or whole aggregators", async () => {
  const start = '"START"         \tinput active-low bias=pull-up ' +
    'debounce-period=5ms consumer="gpioagg"\n';
  assertEquals(await call("info", ["press.START"]), [
    0,
    `press 0\t${start}`,
    "",
  ]);
  assertEquals(await call("info", []), [
    0,
    "press - 3 lines:\n" +
    `\tline   0:\t${start}` +
    '\tline   1:\t"LAMP"          \toutput consumer="gpioagg"\n' +
    '\tline   2:\tunnamed         \tinput consumer="gpioagg"\n',
    "",
  ]);
  const [code, stdout] = await call("info", ["--json", "press.LAMP"]);
  const { chip, offset, name, direction, source } = JSON.parse(String(stdout));
  assertEquals([code, chip, offset, name, direction, source], [
    0,
    "press",
    1,
    "LAMP",
    "output",
    "simulated",
  ]);
});

/** An edge of a line of the press. */
function edge(
  lineNumber: number,
  value: 0 | 1 | undefined,
  kind: Edge["kind"] = "value",
): Edge {
  return {
    aggregator: "press",
    line: "",
    lineNumber,
    direction: "input",
    ...(value === undefined ? {} : { value }),
    present: true,
    number: 0,
    time: "1764428400123456789",
    kind,
    cause: "world",
  };
}

const ENDED = "gpioagg mon: the service has ended\n";
const TIME = "2025-11-29T15:00:00.123456789Z";

Deno.test("mon --api prints edges of chosen lines until its number is reached", async () => {
  const events: ApiEvent[] = [START, {
    event: "edges",
    edges: [edge(0, 0), edge(1, 1), edge(0, 1), edge(0, 0)],
  }];
  assertEquals(await call("mon", ["-n2", "press.START"], events), [
    0,
    `${TIME}\tfalling\tpress 0 "START"\n` +
    `${TIME}\trising\tpress 0 "START"\n`,
    "",
  ]);
  assertEquals(
    await call("mon", ["-e", "rising", "-F", "%o %E %S", "press"], events),
    [
      1,
      "1 rising 1764428400.123456789\n0 rising 1764428400.123456789\n",
      ENDED,
    ],
  );
});

Deno.test("mon --api tells changes of a level only, and what was lost", async () => {
  const events: ApiEvent[] = [
    START,
    {
      event: "edges",
      edges: [
        // It goes another way, and has another value.
        edge(0, 0, "direction"),
        edge(0, 0, "direction"),
        edge(0, undefined, "presence"),
        edge(0, 1, "presence"),
        // Its value was not known.
        edge(2, 1, "direction"),
        edge(2, 1),
      ],
    },
    { event: "lost", count: 3 },
  ];
  const args = ["--initial-state", "-F", "%o %e", "press"];
  assertEquals(await call("mon", args, events), [
    1,
    '"press.START"=active "press.LAMP"=inactive\n0 2\n2 1\n',
    "gpioagg mon: 3 events were lost\n" + ENDED,
  ]);
});

Deno.test("mon --api prints JSON and tables", async () => {
  const events: ApiEvent[] = [START, { event: "edges", edges: [edge(1, 1)] }];
  const [, json] = await call("mon", ["--json", "-n1", "press.LAMP"], events);
  assertEquals(
    json,
    '{"event":"rising","timestampNs":1764428400123456789,"line":"press.LAMP",' +
      '"chip":"press","offset":1,"name":"LAMP","value":1,"seqno":1,' +
      '"lineSeqno":1}\n',
  );
  const [, table] = await call("mon", ["--csv", "-n1", "press.LAMP"], events);
  assertEquals(
    table,
    "timestamp,event,value,chip,offset,name,line_seqno\n" +
      `${TIME},rising,1,press,1,LAMP,1\n`,
  );
});
