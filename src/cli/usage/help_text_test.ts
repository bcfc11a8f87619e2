import { assert, assertEquals } from "@std/assert";
import { helpPage } from "../../tools/program/usage.ts";
import { COMMANDS } from "../commands.ts";
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

Deno.test("the help of each command fits into 80 columns", async () => {
  let count = 0;
  for (const [name, { load, toolName }] of Object.entries(COMMANDS)) {
    const { USAGE } = await load();
    if (USAGE === undefined) continue;
    count++;
    const text = "synopsis" in USAGE
      ? helpText(USAGE)
      : await helpPage(toolName ?? name, USAGE);
    for (const line of text.split("\n")) {
      assert(line.length <= 80, `${name}: ${line}`);
    }
  }
  assert(count > 30, `${count} commands`);
});
