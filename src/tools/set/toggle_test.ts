import { assertEquals, assertThrows } from "@std/assert";
import { parseToggles, toggleSteps } from "./toggle.ts";
import { ToolError } from "../program/tool_error.ts";

Deno.test("parseToggles() reads periods with commas between them", () => {
  assertEquals(parseToggles("100,2s,0"), [100_000, 2_000_000, 0]);
  assertEquals(parseToggles("10,"), [10_000, 0]);
  assertEquals(parseToggles(""), [0]);
  assertThrows(() => parseToggles("1ns"), ToolError, "invalid period: 1ns");
  assertThrows(() => parseToggles("10,5x"), ToolError, "invalid period: 5x");
});

Deno.test("toggleSteps() go round", () => {
  const waits = [];
  for (const { waitUs, end } of toggleSteps([100, 300], 200)) {
    assertEquals(end, false);
    if (waits.push(waitUs) === 5) break;
  }
  assertEquals(waits, [200, 300, 200, 300, 200]);
});

Deno.test("toggleSteps() end at a last period of 0, held all the same", () => {
  assertEquals([...toggleSteps([100, 0], 50)], [
    { waitUs: 100, end: false },
    { waitUs: 50, end: true },
  ]);
  assertEquals([...toggleSteps([0], 0)], [{ waitUs: 0, end: true }]);
});

Deno.test("toggleSteps() do not end at a 0 between others", () => {
  const steps = toggleSteps([0, 300], 0);
  assertEquals(steps.next().value, { waitUs: 0, end: false });
  assertEquals(steps.next().value, { waitUs: 300, end: false });
});
