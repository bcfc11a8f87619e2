import { assertEquals } from "@std/assert";
import { EDGE_COUNT, RECORD, RECORD_SIZE, toRecordSpec } from "./record.ts";

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

Deno.test("a record in keys has a file of 64 MB unless its size is given", () => {
  assertEquals(toRecordSpec({}), { withInputs: false });
  assertEquals(toRecordSpec({ file: "/a", keep: 5000, inputs: true }), {
    keep: 5000,
    withInputs: true,
    file: { path: "/a", size: 64_000_000 },
  });
  const sizeOf = (text: string) => {
    const reading = RECORD_SIZE.read(text);
    return "value" in reading ? reading.value : reading.problem;
  };
  assertEquals(sizeOf("1MB"), 1_000_000);
  assertEquals(sizeOf("1000GB"), 1e12);
  for (const bad of ["", "0MB", "64", "64mb", "1001GB", "1.5GB", "1TB"]) {
    assertEquals(sizeOf(bad), "is not a valid size", bad);
  }
  for (const bad of ["999", "64000001", "off", "1e6"]) {
    assertEquals("problem" in EDGE_COUNT.read(bad), true, bad);
  }
});
