import { assert, assertEquals } from "@std/assert";
import { threadCpuMs } from "../../tests/doubles/cpu_time.ts";
import {
  printable,
  printableBlock,
  printableError,
  printableJson,
} from "./printable.ts";

Deno.test("Plain text of any script passes as it is", () => {
  for (const text of ["", "plc0", "Größe µs", "リレー", "a\\n", "🔌", "é"]) {
    assertEquals(printable(text), text);
  }
});

Deno.test("Every character that acts on a reader is escaped", () => {
  assertEquals(printable("a\nb\r\tc"), "a\\nb\\r\\tc");
  assertEquals(
    printable("\x1b[31m\x07\0\x7f\x9b0m"),
    "\\x1b[31m\\x07\\x00\\x7f\\x9b0m",
  );
  assertEquals(printable("\u202eevil\u2066"), "\\u202eevil\\u2066");
  assertEquals(
    printable("\u2028\u2029\u200b\ufeff"),
    "\\u2028\\u2029\\u200b\\ufeff",
  );
  assertEquals(printable("\ud800x\udc00"), "\\ud800x\\udc00");
  assertEquals(printable("\u{e0041}"), "\\u{e0041}");
  for (let code = 0; code < 0xa0; code++) {
    if (code >= 0x20 && code < 0x7f) continue;
    const shown = printable(String.fromCharCode(code));
    assert(/^[\x20-\x7e]+$/.test(shown), `U+${code.toString(16)}: ${shown}`);
  }
});

Deno.test("The length is bounded, and no character or escape is cut", () => {
  assertEquals(printable("abcdef", 6), "abcdef");
  assertEquals(printable("abcdefg", 6), "abcde…");
  assertEquals(printable("abc\x1bd", 6), "abc…");
  assertEquals(printable("ab\x1b", 6), "ab\\x1b");
  assertEquals(printable("🔌🔌🔌🔌", 6), "🔌🔌…");
  assertEquals(printable("\n".repeat(9), 6), "\\n\\n…");
  for (let limit = 1; limit < 40; limit++) {
    const shown = printable("x\x1b\u202e🔌\u{e0041}\ud800".repeat(50), limit);
    assert(shown.length <= limit, `${limit}: ${shown}`);
    assert(shown.isWellFormed());
  }
  // The cost does not grow with what is cut off.
  const huge = "\x1b".repeat(10_000_000);
  const start = threadCpuMs();
  for (let i = 0; i < 1000; i++) printable(huge);
  assert(threadCpuMs() - start < 2000);
});

Deno.test("A text that went through does not change again", () => {
  const once = printable("a\x1b\n\u202e" + "b".repeat(500));
  assertEquals(printable(once), once);
});

Deno.test("A block keeps its lines and nothing else", () => {
  assertEquals(printableBlock("a\n\tb\r\x1b\u2028"), "a\n\tb\\r\\x1b\\u2028");
});

Deno.test("JSON is exact, and harmless to a terminal", () => {
  const value = {
    "k\x9b": "\x1b\x7f\x85\u202e\u2028\ud800🔌\u{e0041}\n\\",
    n: [1, null, true],
  };
  const text = printableJson(value);
  assertEquals(JSON.parse(text), value);
  assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text), text);
});

Deno.test("Whatever was thrown has a printable message", () => {
  assertEquals(printableError(new Error("a\nb")), "a\\nb");
  assertEquals(printableError("\x1b"), "\\x1b");
  assertEquals(printableError(undefined), "undefined");
  const hostile = {
    toString() {
      throw new Error("no text");
    },
  };
  assertEquals(printableError(hostile), "unknown error");
});
