import { assertEquals } from "@std/assert";
import { csvRow } from "./csv.ts";

Deno.test("csvRow() quotes only what needs it", () => {
  assertEquals(csvRow(["a", 1, "", "b c"]), "a,1,,b c\n");
  assertEquals(
    csvRow(['say "x"', "a,b", "l\nm"]),
    '"say ""x""","a,b","l\nm"\n',
  );
});
