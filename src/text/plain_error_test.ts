import { assertEquals } from "@std/assert";
import { plainMessage } from "./plain_error.ts";
import { printableError } from "./printable.ts";

function messageOf(fail: () => unknown): string {
  try {
    fail();
  } catch (error) {
    return printableError(error);
  }
  throw new Error("nothing was thrown");
}

Deno.test("printableError() has no words of the runtime", () => {
  assertEquals(
    messageOf(() => Deno.readTextFileSync("/nonexistent/file")),
    "/nonexistent/file: no such file or directory",
  );
  assertEquals(messageOf(() => JSON.parse("{")), "it is not valid JSON");
  assertEquals(messageOf(() => JSON.parse("x")), "it is not valid JSON");
  assertEquals(messageOf(() => JSON.parse("")), "it is not valid JSON");
});

Deno.test("plainMessage() says what is refused, not which flag allows it", () => {
  assertEquals(
    plainMessage(
      'Requires all access to "/dev/x", run again with the --allow-all flag',
    ),
    "/dev/x is not a place where gpioagg makes or reads files",
  );
  assertEquals(
    plainMessage(
      'Requires net access to "a:80", run again with the --allow-net flag',
    ),
    "gpioagg does without net access to a:80",
  );
});

Deno.test("plainMessage() leaves other messages as they are", () => {
  for (
    const text of [
      "Cannot find chip: there is none",
      "READ failed (os error) here",
      "",
    ]
  ) assertEquals(plainMessage(text), text);
  assertEquals(plainMessage("NACK (os error 121)"), "NACK");
});
