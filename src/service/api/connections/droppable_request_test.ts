import { assertEquals } from "@std/assert";
import { isDroppable } from "./droppable_request.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

for (
  const [sent, isExpected] of [
    ["GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n", true],
    ["HEAD / HTTP/1.1\r\n\r\n", true],
    ["DELETE /v1/aggregators/a HTTP/1.1\r\nhost: x\r\n", true],
    ["DELETE /v1/aggregators/a HTTP/1.1\r\nhost: x\r\n\r", true],
    ["P", true],
    ["\n", true],
    ["\r\nDELETE /a HTTP/1.1\r\nhost: x", true],
    ["DELETE /v1/aggregators/a HTTP/1.1\r\nhost: x\r\n\r\n", false],
    ["DELETE /v1/aggregators/a HTTP/1.1\nhost: x\n\n", false],
    ["PATCH /v1/aggregators/a HTTP/1.1\r\nhost: x\r\n\r\n{}", false],
    ["GETS / HTTP/1.1\r\n\r\n", false],
  ] as const
) {
  Deno.test(`isDroppable() is ${isExpected} of ${JSON.stringify(sent)}`, () => {
    assertEquals(isDroppable(bytes(sent), true), isExpected);
  });
}

Deno.test("isDroppable() does not judge a head that it does not see the end of", () => {
  assertEquals(
    isDroppable(bytes("POST / HTTP/1.1\r\nhost: x\r\n"), false),
    false,
  );
  assertEquals(
    isDroppable(bytes("GET / HTTP/1.1\r\nhost: x\r\n"), false),
    true,
  );
});
