import { assertEquals } from "@std/assert";
import { Problems } from "./problems.ts";

Deno.test("Problems counts also those that it does not keep", () => {
  const problems = new Problems();
  for (let i = 0; i < 1500; i++) problems.add({ path: `key${i}` }, "is wrong");
  const before = problems.count;
  problems.at({ path: "last" })("is wrong");
  assertEquals(problems.count, before + 1);
  assertEquals(problems.sorted().length, 1000);
});
