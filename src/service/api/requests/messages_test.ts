import { assertEquals, assertThrows } from "@std/assert";
import { HttpError, parseJson } from "./messages.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("parseJson() reads a body", () => {
  assertEquals(parseJson(encode(' {"name": "é"}\n')), { name: "é" });
});

for (
  const [what, body, says] of [
    ["nothing", encode(""), "The body is empty, not JSON"],
    ["blanks", encode(" \n"), "The body is empty, not JSON"],
    [
      "half an object",
      encode("{"),
      "The body is not valid JSON: line 1, column 2: it ends instead of a key " +
      "in quotes",
    ],
    [
      "a form",
      encode("name=a"),
      'The body is not valid JSON: line 1, column 1: there is "n" instead of a ' +
      "value",
    ],
    [
      "a stray character of another plane, and one for a terminal",
      encode('{\n  "\u{1f980}": \x1b}'),
      'The body is not valid JSON: line 2, column 9: there is "\\x1b" instead ' +
      "of a value",
    ],
    [
      "Latin-1",
      new Uint8Array([0x22, 0xe9, 0x22]),
      "The body is not valid UTF-8",
    ],
    [
      "a key that is given twice",
      encode('{"pull": {"VALVE": 1, "VALVE": 0}}'),
      'The body has the key "VALVE" twice in an object',
    ],
    [
      "many brackets",
      encode("[".repeat(1000)),
      "The body is nested deeper than 32 levels",
    ],
  ] as const
) {
  Deno.test(`parseJson() refuses ${what}, in words of its own`, () => {
    const error = assertThrows(() => parseJson(body), HttpError);
    assertEquals([error.status, error.message], [400, says]);
  });
}
