import { assertEquals } from "@std/assert";
import { plainMessage } from "./plain_error.ts";
import { printableError } from "./printable.ts";

function catchMessage(fail: () => unknown): string {
  try {
    fail();
  } catch (error) {
    return printableError(error);
  }
  throw new Error("nothing was thrown");
}

Deno.test("printableError() has no words of the runtime", () => {
  assertEquals(
    catchMessage(() => Deno.readTextFileSync("/nonexistent/file")),
    "/nonexistent/file: no such file or directory",
  );
  assertEquals(catchMessage(() => JSON.parse("{")), "it is not valid JSON");
  assertEquals(catchMessage(() => JSON.parse("x")), "it is not valid JSON");
  assertEquals(catchMessage(() => JSON.parse("")), "it is not valid JSON");
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

Deno.test("plainMessage() says which package cannot be had, and what to do", () => {
  const todo = "; run it once where the npm registry can be reached, or set " +
    "DENO_DIR to a directory that has it";
  assertEquals(
    plainMessage(
      "Failed caching npm package 'deno-std@1.4.0'\n    0: error sending " +
        "request for url (http://h/x.tgz): client error\n    1: client error\n" +
        "    2: Connection refused (os error 111)\n    at \x1b[0mfile:///a.ts",
    ),
    "Cannot get deno-std@1.4.0, a package of this program: connection refused" +
      todo,
  );
  assertEquals(
    plainMessage("Failed caching npm package 'a@1'"),
    `Cannot get a@1, a package of this program${todo}`,
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
