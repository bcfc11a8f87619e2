import { assertEquals } from "@std/assert";
import { wrapped } from "./wrap.ts";

Deno.test("wrapped() breaks between words, at the width", () => {
  assertEquals(wrapped("aa bb cc", 5, "", ""), "aa bb\ncc");
  assertEquals(wrapped("aa bb cc", 8, "- ", "  "), "- aa bb\n  cc");
  assertEquals(wrapped("toolong b", 3, "", ""), "toolong\nb");
  assertEquals(wrapped(["a b", "c"], 3, "", ""), "a b\nc");
});
