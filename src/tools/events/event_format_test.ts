import { assertEquals } from "@std/assert";
import { compileFormat } from "./event_format.ts";

function format(text: string): string {
  return compileFormat<{ offset: number; name: string }>(text, {
    o: (event) => `${event.offset}`,
    l: (event) => event.name,
  })({ offset: 4, name: "foo%o" });
}

Deno.test("compileFormat() fills in what the letters stand for", () => {
  assertEquals(format("%o %l|%o%o"), "4 foo%o|44");
  assertEquals(format(""), "");
  assertEquals(format("plain"), "plain");
});

Deno.test("compileFormat() takes %% for a percent sign", () => {
  assertEquals(format("start%%end"), "start%end");
  assertEquals(format("%%o%"), "%o%");
  assertEquals(format("%%%"), "%%");
  assertEquals(format("%%%o"), "%4");
});

Deno.test("compileFormat() leaves what means nothing as it is", () => {
  for (const text of ["%", "%x", "foo % bar", "%x%y%", "%5o", "a\\tb\\n"]) {
    assertEquals(format(text), text);
  }
  assertEquals(format("%5o%o"), "%5o4");
  assertEquals(format("%constructor"), "%constructor");
});
