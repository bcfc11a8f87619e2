import { assertEquals } from "@std/assert";
import { fitLines } from "./fit_lines.ts";

Deno.test("fitLines() breaks what is too long, and leaves the rest alone", () => {
  assertEquals(
    fitLines(
      `one two
three four five six
seven

short
lines
  key   one two three four
        five
  other x
  $ an example that is longer than this`,
      19,
    ),
    `one two
three four five six
seven

short
lines
  key   one two
        three four
        five
  other x
  $ an example that is longer than this`,
  );
  assertEquals(
    fitLines("one two\nthree four five\nsix\n  a  b\n", 12),
    "one two\nthree four\nfive six\n  a  b\n",
  );
});
