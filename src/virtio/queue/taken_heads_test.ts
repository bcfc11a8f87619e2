import { assertEquals } from "@std/assert";
import { TakenHeads } from "./taken_heads.ts";

Deno.test("TakenHeads keeps heads in the order in which they were taken", () => {
  for (const size of [8, 32768]) {
    const taken = new TakenHeads(size);
    assertEquals([taken.count, taken.oldest()], [0, size]);
    for (const head of [5, 0, size - 1, 3]) taken.add(head);
    assertEquals(taken.list(), [5, 0, size - 1, 3]);
    assertEquals(taken.list(2), [5, 0]);
    taken.delete(0);
    taken.delete(5);
    taken.add(5);
    taken.delete(3);
    assertEquals(taken.list(), [size - 1, 5]);
    assertEquals(taken.count, 2);
    assertEquals(
      [taken.has(5), taken.has(0), taken.has(size), taken.has(-1)],
      [true, false, false, false],
    );
    taken.delete(size - 1);
    taken.delete(5);
    assertEquals([taken.count, taken.oldest()], [0, size]);
  }
});
