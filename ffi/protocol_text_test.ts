import { assertEquals, assertThrows } from "@std/assert";
import { checkProtocolText, controlCharacterAt } from "./protocol_text.ts";

Deno.test("controlCharacterAt() finds C0, DEL and C1, and nothing else", () => {
  for (let code = 0; code < 0x180; code++) {
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
    assertEquals(
      controlCharacterAt(`ab${String.fromCharCode(code)}c`),
      isControl ? 2 : -1,
      `U+${code.toString(16)}`,
    );
  }
  assertEquals(controlCharacterAt(""), -1);
});

Deno.test("checkProtocolText() passes a text on or names the character", () => {
  assertEquals(
    checkProtocolText("set_irq_in /x 1", "qtest"),
    "set_irq_in /x 1",
  );
  assertThrows(
    () => checkProtocolText("a\r\nb", "qtest"),
    RangeError,
    "Cannot write to qtest: the text has the control character U+000D at position 1",
  );
});
