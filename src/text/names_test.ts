import { assertEquals, assertNotEquals } from "@std/assert";
import {
  bytesOfName,
  nameOfBytes,
  nameOfText,
  nameText,
  specText,
} from "./names.ts";

const latin1 = (text: string) =>
  Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Names as bytes, one character a byte, and their text. */
const NAMES: [bytes: string, text: string][] = [
  ["FOO", "FOO"],
  [" FOO ", " FOO "],
  ["caf\xe9", "caf\\xe9"],
  ["caf\xe8", "caf\\xe8"],
  ["caf\xc3\xa9", "café"],
  ["\xef\xbb\xbfBOM", "\\xef\\xbb\\xbfBOM"],
  ["two\nlines", "two\\x0alines"],
  ["esc\x1b[31mred", "esc\\x1b[31mred"],
  ["\xe2\x80\xae", "\\xe2\\x80\\xae"],
  ["\xed\xb3\xa9", "\\xed\\xb3\\xa9"],
  ["\xf0\x9f\x92\xa1", "\u{1f4a1}"],
  ["\xf0\x9f\x92", "\\xf0\\x9f\\x92"],
  ["\xc3", "\\xc3"],
  ["back\\slash", "back\\slash"],
  ["two\\\\", "two\\\\\\\\"],
  ["end\\", "end\\\\"],
  ["\\x41", "\\\\x41"],
  ["a\\,b", "a\\\\,b"],
  ["a,b", "a,b"],
  ["ETH/0", "ETH/0"],
  ['say "hi"', 'say "hi"'],
  ["\xff".repeat(31), "\\xff".repeat(31)],
];

Deno.test("names of different bytes are different strings and texts", () => {
  const strings = new Set<string>();
  const texts = new Set<string>();
  for (const [bytes, text] of NAMES) {
    const name = nameOfBytes(latin1(bytes));
    assertEquals(bytesOfName(name), latin1(bytes), JSON.stringify(bytes));
    assertEquals(nameText(name), text);
    assertEquals(nameOfText(text), name);
    assertEquals(nameOfText(specText(name)), name);
    assertEquals(nameOfText(specText(name, ",/")), name);
    strings.add(name);
    texts.add(text);
  }
  assertEquals(strings.size, NAMES.length);
  assertEquals(texts.size, NAMES.length);
});

Deno.test("names of two bytes of any kind survive", () => {
  // Of each kind: controls, separators, escapes, parts of UTF-8, none of it.
  const kinds = latin1(
    "\x01\t\n\x1b ,/Ax\\\x7f\x80\x9b\xa0\xbf\xc0\xc2\xc3\xdf\xe0\xed\xef\xf0\xf4\xff",
  );
  for (const one of kinds) {
    for (const two of kinds) {
      const bytes = Uint8Array.of(one, two);
      const name = nameOfBytes(bytes);
      assertEquals(bytesOfName(name), bytes);
      assertEquals(nameOfText(nameText(name)), name);
    }
  }
});

Deno.test("specText() escapes what would end a name", () => {
  assertEquals(specText("/soc/qcom,spmi@1000"), "/soc/qcom\\,spmi@1000");
  assertEquals(specText("ETH/0", ",/"), "ETH\\/0");
  assertNotEquals(nameOfText("\\a"), "a");
  assertEquals(nameOfText("\\a"), "\\a");
});
