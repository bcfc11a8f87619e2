import { assert, assertEquals, assertThrows } from "@std/assert";
import { API_SINCE, checkHttpRuntime, hasApi } from "./runtime.ts";

Deno.test("an old runtime is told from one that has the control API", () => {
  for (const version of ["2.7.11", "2.7.9", "1.99.99"]) {
    assert(!hasApi(version), version);
  }
  for (const version of [API_SINCE, "2.8.0", "2.10.0", "10.0.0"]) {
    assert(hasApi(version), version);
    checkHttpRuntime(version, true);
  }
  // The one that runs the tests.
  checkHttpRuntime();
});

Deno.test("the error names both versions, and the remedy", () => {
  const failure = (isExecutable: boolean) => {
    const { message, hint } = assertThrows(
      () => checkHttpRuntime("2.7.11", isExecutable),
    ) as Error & { hint: string };
    return [message, hint];
  };
  assertEquals(failure(true), [
    "The control API needs Deno 2.7.14 or newer, and this executable was " +
    "compiled with Deno 2.7.11",
    "Use a released executable, or compile one with a newer Deno: " +
    "deno task compile",
  ]);
  assertEquals(failure(false), [
    "The control API needs Deno 2.7.14 or newer, and this is Deno 2.7.11",
    "Install a newer Deno: npm install -g deno",
  ]);
});
