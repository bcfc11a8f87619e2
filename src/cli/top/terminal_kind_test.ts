import { assertEquals } from "@std/assert";
import { asciiText, terminalKind } from "./terminal_kind.ts";

Deno.test("terminalKind() takes the first variable of the locale that is set", () => {
  for (
    const [variables, hasUtf8] of [
      [{}, true],
      [{ LANG: "de_DE.UTF-8" }, true],
      [{ LANG: "de_DE.utf8" }, true],
      [{ LANG: "de_DE.ISO-8859-1" }, false],
      [{ LANG: "en_US.UTF-8", LC_ALL: "C" }, false],
      [{ LANG: "C", LC_CTYPE: "C.UTF-8", LC_ALL: "" }, true],
      [{ LC_CTYPE: "POSIX" }, false],
    ] as [Record<string, string>, boolean][]
  ) {
    assertEquals(
      terminalKind((name) => variables[name]),
      { isDumb: false, hasUtf8, columns: undefined },
    );
  }
  const dumb = terminalKind((name) => ({ TERM: "dumb" })[name]);
  assertEquals(dumb.isDumb, true);
});

Deno.test("terminalKind() takes a width that is a number, within limits", () => {
  for (
    const [text, columns] of [
      ["132", 132],
      ["1", 20],
      ["99999", 1000],
      ["0", undefined],
      ["", undefined],
      ["-5", undefined],
      ["8e1", undefined],
    ] as const
  ) {
    const kind = terminalKind((name) => ({ COLUMNS: text })[name]);
    assertEquals(kind.columns, columns, text);
  }
});

Deno.test("asciiText() keeps the width", () => {
  assertEquals(asciiText("● A\x1b[0m ▁▁┌▔┐·▒○"), "* A\x1b[0m __/=\\.%o");
  assertEquals(asciiText("日本é…e\u0301"), "?????~e");
});
