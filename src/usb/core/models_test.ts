import { assertEquals } from "@std/assert";
import { splitLines } from "./models.ts";

Deno.test("splitLines() fills one adapter after another", () => {
  assertEquals(splitLines("ljca", 64), [{ firstLine: 0, lineCount: 64 }]);
  assertEquals(splitLines("cp2112", 8), [{ firstLine: 0, lineCount: 8 }]);
  assertEquals(splitLines("cp2112", 17), [
    { firstLine: 0, lineCount: 8 },
    { firstLine: 8, lineCount: 8 },
    { firstLine: 16, lineCount: 1 },
  ]);
});
