import { assertEquals, assertThrows } from "@std/assert";
import { abandon, atOnce, eachOf, type Pieces, Undo } from "./pieces.ts";

Deno.test("eachOf() does every step, one a piece, and throws the first error", () => {
  const done: number[] = [];
  const work = eachOf([0, 1, 2].map((i) => () => {
    done.push(i);
    if (i < 2) throw new Error(`step ${i}`);
  }));
  work.next();
  assertEquals(done, [0]);
  assertThrows(() => atOnce(work), Error, "step 0");
  assertEquals(done, [0, 1, 2]);
});

Deno.test("abandon() has work undo what it has begun, in the reverse order", () => {
  const done: string[] = [];
  function* work(): Pieces {
    const undo = new Undo();
    try {
      for (const name of ["a", "b", "c"]) {
        undo.add(() => void done.push(name));
        yield;
      }
      undo.clear();
    } finally {
      yield* undo.run();
    }
  }
  const begun = work();
  begun.next();
  begun.next();
  abandon(begun);
  assertEquals(done, ["b", "a"]);
  done.length = 0;
  atOnce(work());
  assertEquals(done, []);
});
