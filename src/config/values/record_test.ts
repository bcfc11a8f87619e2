import { assertEquals } from "@std/assert";
import { RECORD } from "./record.ts";

Deno.test("a record of edges is off, a number, inputs, or both", () => {
  const read = (text: string) => {
    const reading = RECORD.read(text);
    return "value" in reading ? reading.value : reading.problem;
  };
  assertEquals(read("off"), { keep: 0, withInputs: false });
  assertEquals(read("inputs"), { withInputs: true });
  assertEquals(read("5000"), { keep: 5000, withInputs: false });
  assertEquals(read("5000,inputs"), { keep: 5000, withInputs: true });
  for (
    const bad of ["", "0", "999", "64000001", "on", "inputs,5000", "-1", "1e6"]
  ) {
    assertEquals(read(bad), "is not a valid record of edges", bad);
  }
});
