import { assertEquals } from "@std/assert";
import { helpText } from "./help_text.ts";
import { HELP_OPTION } from "./usage.ts";

Deno.test("helpText() prints a table in columns, broken at 80 characters", () => {
  const text = helpText({
    name: "x",
    synopsis: ["A [--long]", "B"],
    about: "About.",
    options: {
      long: { kind: "flag", help: "word ".repeat(20).trim() },
      "very-very-very-long": {
        kind: "optional",
        value: "HOW",
        help: "below",
        heading: "More:",
      },
      help: HELP_OPTION,
    },
    after: "After.",
  });
  assertEquals(
    text,
    `Usage: gpioagg x A [--long]
       gpioagg x B

About.

  --long      word word word word word word word word word word word word word
              word word word word word word word

More:
  --very-very-very-long[=HOW]
              below
  -h, --help  this text

After.`,
  );
});
