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

Deno.test("Problems tells once what is true of several lines of one entry", () => {
  const problems = new Problems();
  const entry = { file: "a.yaml", line: 4, column: 16, path: "lines[0].sim" };
  for (let i = 0; i < 7; i++) problems.add(entry, "cannot be", "Omit it");
  problems.add(entry, "cannot be", "Name a line");
  problems.add({ ...entry, line: 5 }, "cannot be", "Omit it");
  problems.add({ ...entry, line: 3 }, "cannot be", "Omit it");
  assertEquals(problems.sorted().map(({ line, hint }) => [line, hint]), [
    [3, "Omit it"],
    [4, "Omit it"],
    [4, "Name a line"],
    [5, "Omit it"],
  ]);
});
