import { assertEquals, assertThrows } from "@std/assert";
import { parseControlAnswer, parseControlRequest } from "./control_protocol.ts";

Deno.test("parseControlRequest() reads changes, or none", () => {
  assertEquals(parseControlRequest("{}"), {});
  assertEquals(parseControlRequest('{"pull":[["a",1],["0",0]]}'), {
    pull: [["a", 1], ["0", 0]],
  });
});

for (
  const text of [
    "",
    "[",
    "null",
    "7",
    '"pull"',
    '{"push":1}',
    '{"pull":{}}',
    '{"pull":[["a"]]}',
    '{"pull":[["a",2]]}',
    '{"pull":[[1,1]]}',
    '{"pull":[["a",1,1]]}',
  ]
) {
  Deno.test(`parseControlRequest() refuses '${text}'`, () => {
    assertThrows(() => parseControlRequest(text), SyntaxError);
  });
}

const DESCRIBED = {
  name: "plc0",
  presentation: "at /run/plc0.sock",
  connected: false,
  lines: [{ lineNumber: 0, name: "A", source: "sim", direction: "input" }],
};

Deno.test("parseControlAnswer() reads an aggregator, or an error", () => {
  for (
    const answer of [
      { aggregator: DESCRIBED },
      { aggregator: DESCRIBED, driven: ["A"], new: 1 },
      { error: "no such line" },
    ]
  ) assertEquals(parseControlAnswer(JSON.stringify(answer)), answer);
});

for (
  const [answer, says] of [
    [null, "does not send one of its messages"],
    [{}, "does not send one of its messages"],
    [{ error: 5 }, "does not send one of its messages"],
    [{ aggregator: 1 }, "aggregator must be an object, not 1"],
    [{ aggregator: { name: "a" } }, "aggregator.presentation is missing"],
    [
      { aggregator: { ...DESCRIBED, lines: [{ lineNumber: 0 }] } },
      "aggregator.lines[0].name is missing",
    ],
    [{ aggregator: DESCRIBED, driven: 1 }, "driven must be an array, not 1"],
  ] as const
) {
  const text = JSON.stringify(answer);
  Deno.test(`parseControlAnswer() refuses '${text}'`, () => {
    assertThrows(() => parseControlAnswer(text), SyntaxError, says);
  });
}

Deno.test("parseControlAnswer() refuses what is not JSON", () => {
  assertThrows(() => parseControlAnswer("HTTP/1.1 400"), SyntaxError);
});
