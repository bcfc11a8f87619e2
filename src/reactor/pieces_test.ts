import { assertEquals, assertThrows } from "@std/assert";
import {
  abandon,
  atOnce,
  eachPart,
  inPieces,
  type Pieces,
  Undo,
} from "./pieces.ts";

Deno.test("inPieces() does every step, one a piece, and throws the first error", () => {
  const done: number[] = [];
  const work = inPieces([0, 1, 2].map((i) => () => {
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

Deno.test("abandon() has what is left of inPieces() done now, whatever some of it throws", () => {
  const done: number[] = [];
  const work = inPieces([0, 1, 2, 3].map((i) => () => {
    done.push(i);
    if (i === 2) throw new Error("a bug");
  }));
  work.next();
  abandon(work);
  assertEquals(done, [0, 1, 2, 3]);
});

Deno.test("eachPart() goes on with the next part when one throws, and when it is abandoned", () => {
  const done: string[] = [];
  function* part(name: string): Pieces {
    try {
      yield;
      if (name === "b") throw new Error("a bug");
    } finally {
      done.push(name);
    }
  }
  assertThrows(() => atOnce(eachPart("abc", part)), Error, "a bug");
  assertEquals(done, ["a", "b", "c"]);
  done.length = 0;
  const work = eachPart("abc", part);
  work.next();
  abandon(work);
  assertEquals(done, ["a", "b", "c"]);
});

Deno.test("abandon() has an undoing that is under way done to its end", () => {
  const done: string[] = [];
  function* work(): Pieces {
    const undo = new Undo();
    for (const name of ["a", "b", "c"]) undo.add(() => void done.push(name));
    yield* undo.run();
  }
  const begun = work();
  begun.next();
  abandon(begun);
  assertEquals(done, ["c", "b", "a"]);
});
