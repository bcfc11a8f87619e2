/** Edges of a line, from the guest's request to the record. */
import { assertEquals } from "@std/assert";
import { assertAllocatesNothing } from "../../tests/doubles/allocation.ts";
import { EdgeRecordDouble } from "../../tests/doubles/edge_record.ts";
import { LoopDouble } from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import { Cause } from "../edges/record.ts";
import { LineOperation } from "../line/port.ts";
import { AggregatorLine } from "./aggregator_line.ts";
import { SimLine } from "./sources/sim_line.ts";

Deno.test("an edge of a recorded line, and its part of the active time, allocate nothing", () => {
  const record = new EdgeRecordDouble();
  const loop = new LoopDouble();
  const [specification] = parseLineSpec("sim/1,as=LAMP");
  const line = new AggregatorLine(
    "LAMP",
    specification!,
    new SimLine(specification!, loop),
    loop,
  );
  record.add(line);
  line.submit(LineOperation.Output, 0);
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      record.now++;
      line.submit(LineOperation.SetValue, i & 1);
    }
  });
  assertEquals(line.edges.last?.cause, Cause.Guest);
  assertEquals(line.edges.counts[Cause.Guest]! > 1000, true);
});
