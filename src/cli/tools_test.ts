import { assertEquals, assertStringIncludes } from "@std/assert";
import { captured } from "../../tests/doubles/program/captured.ts";
import { run } from "./tools.ts";

Deno.test("the tools alone run by their names, and by no other", async () => {
  const version = await captured(() => run(["--version"], "gpioget"));
  assertEquals(version.code, 0);
  assertStringIncludes(version.stdout, "gpioget");
  const other = await captured(() => run([], "serve"));
  assertEquals(other.code, 1);
  assertStringIncludes(other.stderr, "serve is not a tool's name");
});
