import { assertEquals, assertThrows } from "@std/assert";
import { parseControlRequest } from "./control_protocol.ts";

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
