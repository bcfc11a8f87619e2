import { assertEquals } from "@std/assert";
import { LineEditor } from "./line_editor.ts";

const encoder = new TextEncoder();

/** Types into an editor and collects lines; `screen` is what it showed last. */
function typing(columns = 80) {
  const words = ["get ", "set ", "sleep "];
  const shown: string[] = [];
  const editor = new LineEditor({
    prompt: "> ",
    completer: {
      complete: (before) => {
        const start = before.lastIndexOf(" ") + 1;
        const typed = before.slice(start);
        return { start, words: words.filter((word) => word.startsWith(typed)) };
      },
    },
    show: (text) => shown.push(text),
    columns: () => columns,
  });
  editor.begin();
  return {
    shown,
    type(text: string): string[] {
      const lines: string[] = [];
      for (const event of editor.feed(encoder.encode(text))) {
        lines.push(event.kind === "line" ? event.text : event.kind);
        if (event.kind === "line") editor.begin();
      }
      return lines;
    },
  };
}

Deno.test("LineEditor yields each line that Enter ends", () => {
  const { type } = typing();
  assertEquals(type("get foo\rset"), ["get foo"]);
  assertEquals(type(" bar\n\n"), ["set bar", ""]);
});

Deno.test("LineEditor moves and deletes as shells do", () => {
  const { type } = typing();
  assertEquals(type("bc\x01a\x05d\r"), ["abcd"]);
  assertEquals(type("abc\x1b[D\x1b[DX\r"), ["aXbc"]);
  assertEquals(type("abc\x02\x04\r"), ["ab"]);
  assertEquals(type("abc\x7f\x08d\r"), ["ad"]);
  assertEquals(type("one two\x17three\r"), ["one three"]);
  assertEquals(type("one two\x1bb\x0bx\r"), ["one x"]);
  assertEquals(type("one two\x15three\r"), ["three"]);
  assertEquals(type("one two\x1b[H\x1bd\x1b[3~\r"), ["two"]);
  assertEquals(type("one\x1b[1;5D\x1b[1~0\x1b[F!\r"), ["0one!"]);
});

Deno.test("LineEditor stays within the line", () => {
  const { type } = typing();
  assertEquals(type("\x7f\x04"), ["end"]);
  assertEquals(type("\x02\x02a\x06\x06\x1b[3~b\r"), ["ab"]);
});

Deno.test("LineEditor takes characters of any width and in pieces", () => {
  const { type } = typing();
  assertEquals(type("aé漢😀\x7f\x7fz\r"), ["aéz"]);
  const shown: string[] = [];
  const editor = new LineEditor({
    prompt: "> ",
    completer: { complete: () => ({ start: 0, words: [] }) },
    show: (text) => shown.push(text),
    columns: () => 80,
  });
  editor.begin();
  const events = [...encoder.encode("é\x1b[D!\r")].flatMap((byte) => [
    ...editor.feed(new Uint8Array([byte])),
  ]);
  assertEquals(events, [{ kind: "line", text: "!é" }]);
});

Deno.test("LineEditor recalls earlier lines and keeps the one under edit", () => {
  const { type } = typing();
  type("one\rtwo\r\rtwo\r");
  assertEquals(type("\x1b[A\r"), ["two"]);
  assertEquals(type("\x10\x10\r"), ["one"], "twins in a row count once");
  assertEquals(type("draft\x1b[A\x1b[B!\r"), ["draft!"]);
  assertEquals(type("\x1b[B\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\r"), ["one"]);
});

Deno.test("LineEditor completes, first as far as it is clear", () => {
  const { type, shown } = typing();
  assertEquals(type("g\tfoo\r"), ["get foo"]);
  assertEquals(type("s\t"), []);
  assertEquals(shown.at(-1), "\x07");
  assertEquals(type("\t"), []);
  assertEquals(shown.join("").includes("set  sleep"), true);
  assertEquals(type("l\t1\r"), ["sleep 1"]);
  assertEquals(type("x\t\t\r"), ["x"]);
});

Deno.test("LineEditor ends at Ctrl-D on an empty line", () => {
  assertEquals(typing().type("a\x7f\x04"), ["end"]);
});

Deno.test("LineEditor drops keys that it does not know", () => {
  const { type } = typing();
  assertEquals(type("a\x1b[15~\x1b[1;2P\x1bz\x07b\r"), ["ab"]);
});

Deno.test("LineEditor scrolls a line that is longer than the terminal", () => {
  const { type, shown } = typing(20);
  type("0123456789abcdefghijklmnop");
  assertEquals(shown.at(-1), "\r> 9abcdefghijklmnop\x1b[K");
  type("\x01");
  assertEquals(shown.at(-1), "\r> 0123456789abcdefg\x1b[K\x1b[17D");
});
