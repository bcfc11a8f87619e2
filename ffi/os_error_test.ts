import { assert, assertEquals, assertFalse } from "@std/assert";
import { EBUSY } from "./errno.ts";
import { isOsError, OsError } from "./os_error.ts";

Deno.test("OsError says which call failed, on what, and why", () => {
  const cause = new Error("before");
  const error = new OsError("bind", EBUSY, '"/run/plc0.sock"', { cause });
  assertEquals(
    error.message,
    'bind failed on "/run/plc0.sock": busy (EBUSY)',
  );
  assertEquals(
    [error.name, error.syscall, error.errno, error.code, error.subject],
    ["OsError", "bind", 16, "EBUSY", '"/run/plc0.sock"'],
  );
  assertEquals(error.cause, cause);
});

Deno.test("isOsError() knows the class and the code", () => {
  const error: unknown = new OsError("bind", EBUSY, "a socket");
  assert(isOsError(error));
  assert(isOsError(error, "EACCES", "EBUSY"));
  assertFalse(isOsError(error, "EACCES"));
  assertFalse(isOsError(new Error("busy"), "EBUSY"));
  assertFalse(isOsError(undefined));
});
