import { assertEquals, assertThrows } from "@std/assert";
import { LeaveStates, planLeave } from "./leave.ts";
import { ToolError } from "../program/tool_error.ts";

function states(...texts: string[]): LeaveStates {
  const all = new LeaveStates();
  for (const text of texts) all.add(text);
  return all;
}

Deno.test("LeaveStates leave lines as they are unless told otherwise", () => {
  assertEquals(states().of(["a", "b"]), ["as-is", "as-is"]);
});

Deno.test("LeaveStates are for all lines or for one", () => {
  assertEquals(states("off").of(["a", "b"]), [0, 0]);
  assertEquals(states("input", "b=1").of(["a", "b"]), ["input", 1]);
  assertEquals(states("a=previous,x=y=active,0").of(["a", "x=y", "c"]), [
    "previous",
    1,
    0,
  ]);
});

Deno.test("LeaveStates refuse states and lines that there are not", () => {
  assertThrows(() => states("low"), ToolError, "invalid state to leave: 'low'");
  assertThrows(
    () => states("a=1,b=0").of(["a"]),
    ToolError,
    "line 'b' of --leave is not set",
  );
});

Deno.test("planLeave() sets values, and makes inputs of lines that were", () => {
  const input = { direction: "input", activeLow: true } as const;
  const plan = planLeave(
    ["previous", "previous", "input", 1, "as-is"],
    [
      { direction: "output", value: 1 },
      { direction: "input", value: 1 },
      { direction: "output", value: 0 },
      { direction: "output", value: 0 },
      { direction: "output", value: 0 },
    ],
    input,
  );
  assertEquals([...plan.values], [[0, 1], [3, 1]]);
  assertEquals([...plan.settings], [[1, input], [2, input]]);
});
