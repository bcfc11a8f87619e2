import { assertEquals, assertThrows } from "@std/assert";
import { kernelError } from "../../gpio/errors.ts";
import type { LineRequest } from "../../gpio/line_request.ts";
import type { Value } from "../../line/value.ts";
import { Outputs } from "./outputs.ts";
import { ToolError } from "../program/tool_error.ts";

const EREMOTEIO = 121;

/** A request of one line that refuses to be set when it is told to. */
function request(chipName: string) {
  const state = { value: 0 as Value, refuses: false };
  const double = {
    chipName,
    offsets: [0],
    setValues(values: ReadonlyMap<number, Value>) {
      if (state.refuses) {
        throw kernelError({
          chip: chipName,
          operation: "set",
          syscall: "ioctl",
          errno: EREMOTEIO,
        });
      }
      state.value = values.get(0)!;
    },
  };
  return { state, request: double as unknown as LineRequest };
}

function twoOutputs() {
  const a = request("gpiochip0");
  const b = request("gpiochip1");
  const outputs = new Outputs(["a", "b"], [
    { request: a.request, chipPath: "/dev/gpiochip0", indices: [0] },
    { request: b.request, chipPath: "/dev/plc", indices: [1] },
  ], [0, 0]);
  return { a: a.state, b: b.state, outputs };
}

Deno.test("Outputs sets the lines of other chips when one refuses", () => {
  const { a, b, outputs } = twoOutputs();
  a.refuses = true;
  const error = assertThrows(() => outputs.toggle(), ToolError);
  assertEquals(error.lines, [
    "unable to set values on '/dev/gpiochip0': Remote I/O error",
  ]);
  assertEquals([a.value, b.value], [0, 1]);
  a.refuses = false;
  // The sequence stays in step.
  outputs.toggle();
  assertEquals([a.value, b.value], [0, 0]);
  outputs.toggle();
  assertEquals([a.value, b.value], [1, 1]);
});

Deno.test("Outputs keeps the value of a line that could not be set", () => {
  const { a, b, outputs } = twoOutputs();
  b.refuses = true;
  assertThrows(() => outputs.setValues(new Map([[0, 1], [1, 1]])), ToolError);
  assertEquals([a.value, b.value], [1, 0]);
  assertEquals(outputs.values, [1, 0]);
});
