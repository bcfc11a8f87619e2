import { assertEquals, assertThrows } from "@std/assert";
import type { AnySchema, Finding } from "./message_schema.ts";
import { DESCRIPTION, MESSAGES } from "./messages.ts";
import { CREATE_REQUEST, PULL_REQUEST } from "./requests.ts";

/** Returns what check() reports, as `path: problem`. */
function checked(schema: AnySchema, value: unknown): string[] {
  const found: string[] = [];
  const isValid = schema.check(value, "", ({ path, problem }: Finding) => {
    found.push(`${path}: ${problem}`);
  });
  assertEquals(isValid, found.length === 0);
  return found;
}

/** Returns what read() reports, as `path: problem | hint`. */
function listProblems(schema: AnySchema, value: unknown): string[] {
  const found: string[] = [];
  schema.read(value, "", ({ path, problem, hint }) => {
    found.push(`${path}: ${problem} | ${hint}`);
  });
  return found;
}

Deno.test("a request's check reports all keys and types that are wrong", () => {
  assertEquals(
    checked(CREATE_REQUEST, {
      lines: ["sim/1", 2],
      socketPath: "/x",
      socket: { mode: 660, mod: "660" },
      qemuPins: { qtest: "/q", pins: { 0: 1 } },
    }),
    [
      ': unknown key "socketPath"',
      "name: is missing",
      "lines[1]: must be a string, not 2",
      'socket: unknown key "mod"',
      "socket.mode: must be a string, not 660",
      "qemuPins.qmp: is missing",
      "qemuPins.pins.0: must be a string, not 1",
    ],
  );
});

Deno.test("a request's meaning is that of a configuration file", () => {
  const report = (finding: Finding) => {
    throw new Error(finding.problem);
  };
  const request = {
    name: "vm.example.org",
    lines: ["sim/1"],
    pausedFor: "1m",
    socket: { mode: "0o660" },
  };
  assertEquals(CREATE_REQUEST.read(request, "", report), {
    ...request,
    pausedFor: 60_000_000,
    socket: { mode: 0o660 },
  });
  assertThrows(() => CREATE_REQUEST.read({ name: ".a" }, "", report));
  assertEquals(PULL_REQUEST.read({ pull: { A: 1 } }, "", report), {
    pull: [{ key: "A", path: "pull.A", value: 1 }],
  });
});

Deno.test("a request's values are reported with what to do", () => {
  assertEquals(
    listProblems(CREATE_REQUEST, {
      name: "a",
      lines: [],
      lease: "service",
      socket: {},
      kernelChip: {},
    }),
    [
      "kernelChip: the aggregator is presented by socket already, and a line " +
      "has one master | Make two aggregators",
      "lines: must have at least 1 element | Send " +
      '{"name": "plc0", "lines": ["gpiochip0/0-7", "sim/4"]}',
      'lease: "service" is not known | It is one of stream, none',
    ],
  );
});

Deno.test("what is missing or of another type comes with an example", () => {
  const create = 'Send {"name": "plc0", "lines": ["gpiochip0/0-7", "sim/4"]}';
  const pull = 'Send {"pull": {"START": 1}}';
  const pins =
    'Send {"0": "START", "1": "STOP"}, or leave it out: pin 0 is the first line';
  const request = { name: "a", lines: ["sim/1"] };
  const qemuPins = { qtest: "/q", qmp: "/m" };
  const cases: [AnySchema, unknown, string, string][] = [
    [CREATE_REQUEST, "a", "", create],
    [CREATE_REQUEST, { name: "a" }, "lines", create],
    [CREATE_REQUEST, { lines: ["sim/1"] }, "name", create],
    [CREATE_REQUEST, { ...request, lines: "sim/1" }, "lines", create],
    [CREATE_REQUEST, { ...request, lines: [1] }, "lines[0]", create],
    [
      CREATE_REQUEST,
      { ...request, qemuPins: { ...qemuPins, pins: [] } },
      "qemuPins.pins",
      pins,
    ],
    [CREATE_REQUEST, { ...request, socket: { mode: 6 } }, "socket.mode", ""],
    [PULL_REQUEST, [], "", pull],
    [PULL_REQUEST, {}, "pull", pull],
  ];
  for (const [schema, value, path, hint] of cases) {
    const found: Finding[] = [];
    schema.check(value, "", (finding) => found.push(finding));
    assertEquals(found.map((each) => [each.path, each.hint]), [[path, hint]]);
  }
  assertEquals(
    listProblems(CREATE_REQUEST, {
      ...request,
      qemuPins: { ...qemuPins, pins: {} },
    }),
    [`qemuPins.pins: must have at least 1 key | ${pins}`],
  );
});

Deno.test("answers and events may have more keys than are known", () => {
  assertEquals(
    checked(MESSAGES.Error, { error: { message: "x" }, new: 1 }),
    [],
  );
  assertEquals(
    checked(MESSAGES.Event, { event: "lost", count: 3, since: 1 }),
    [],
  );
  assertEquals(checked(MESSAGES.Event, { event: "lots", count: 3 }), [
    ": must be one of several messages, not an object",
  ]);
  assertEquals(checked(MESSAGES.Aggregator, { name: "a" }), [
    "lease: is missing",
    "presentation: is missing",
    "connected: is missing",
    "lines: is missing",
  ]);
});

Deno.test("DESCRIPTION has no time that no date has", () => {
  const described = {
    name: "a",
    presentation: "nowhere",
    connected: false,
    lines: [],
  };
  const isValid = (servedSince: number) =>
    DESCRIPTION.check({ ...described, servedSince }, "", () => {});
  assertEquals([0, 8.64e15, 8.65e15, Infinity].map(isValid), [
    true,
    true,
    false,
    false,
  ]);
});
