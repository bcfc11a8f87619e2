import { assertEquals } from "@std/assert";
import { isPrintable, isWordsDirectory, wordsText } from "./words_file.ts";

Deno.test("wordsText() has a line for each aggregator and each of its lines", () => {
  const lines = [
    { name: "START", lineNumber: 0, origin: { kind: "sim" } },
    { name: "", lineNumber: 1 },
  ];
  assertEquals(
    wordsText(7, [{ name: "press", lines }, { name: "crane", lines: [] }]),
    "gpioagg-words-1 7\n" +
      "aggregator\tpress\n" +
      "line\tpress\tSTART\tsim\n" +
      "line\tpress\t1\t\n" +
      "aggregator\tcrane\n",
  );
});

Deno.test("wordsText() leaves out what would act on a terminal or break a line", () => {
  const lines = ["a\tb", "a\nb", "\x1b[2J", "\u202e", "ok"].map((
    name,
    lineNumber,
  ) => ({ name, lineNumber }));
  assertEquals(
    wordsText(7, [{ name: "press", lines }]),
    "gpioagg-words-1 7\naggregator\tpress\nline\tpress\tok\t\n",
  );
});

Deno.test("wordsText() is nothing for more names than a shell should read", () => {
  const lines = Array.from(
    { length: 2000 },
    (_, lineNumber) => ({ name: `LINE-${lineNumber}`, lineNumber }),
  );
  const aggregators = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ name: `a${i}`, lines }));
  assertEquals(wordsText(7, aggregators(20))?.split("\n").length, 40022);
  assertEquals(wordsText(7, aggregators(40)), undefined);
});

Deno.test("isWordsDirectory() knows the directories of services", () => {
  for (const path of ["/run/gpioagg", "/run/gpioagg/vm", "/r/gpioagg-plc0"]) {
    assertEquals(isWordsDirectory(path), true, path);
  }
  for (const path of ["/tmp/x", "/run/gpioagg-plc0/sub", "/run/other/vm"]) {
    assertEquals(isWordsDirectory(path), false, path);
  }
});

Deno.test("isPrintable() looks at the whole text", () => {
  assertEquals(isPrintable("x".repeat(1000)), true);
  assertEquals(isPrintable("x".repeat(1000) + "\x07"), false);
});
