import { assertEquals } from "@std/assert";
import { ConfigError } from "../../../config/document/config_error.ts";
import { invalidFile } from "./reload_route.ts";

function problems(count: number) {
  const errors = Array.from(
    { length: count },
    (_, i) =>
      new ConfigError(`problem ${i}`, {
        file: "a.yaml",
        line: i + 1,
        column: 2,
        path: "x",
        hint: `hint ${i}`,
      }),
  );
  return invalidFile(errors);
}

Deno.test("the refusal of a file has its errors, the first one as its message", () => {
  const { status, message, hint, errors } = problems(2);
  assertEquals([status, message, hint], [
    400,
    "a.yaml:1:2: x: problem 0; and 1 more error",
    "hint 0",
  ]);
  assertEquals(errors![1], {
    file: "a.yaml",
    line: 2,
    column: 2,
    path: "x",
    problem: "problem 1",
    hint: "hint 1",
  });
  assertEquals(problems(1).message, "a.yaml:1:2: x: problem 0");
});

Deno.test("the refusal of a file has at most 100 errors, and says that it is cut", () => {
  const { errors = [] } = problems(1000);
  assertEquals(errors.length, 100);
  assertEquals(errors[99]!.problem, "problem 99; further errors are not shown");
  assertEquals(problems(100).errors!.at(-1)!.problem, "problem 99");
});
